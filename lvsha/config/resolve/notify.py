"""Programs that are told of changes: from the tables to their settings."""

from __future__ import annotations

from collections.abc import Mapping

from lvsha.config.schema.notify import NotifyTable
from lvsha.config.settings.notify import NotifyConfig


def notices(written: Mapping[str, NotifyTable]) -> dict[str, NotifyConfig]:
    """Every program of the file. Whether what it names is there, the rules say."""
    return {
        name: NotifyConfig(
            name,
            tuple(dict.fromkeys(table.instances)),
            tuple(dict.fromkeys(table.groups)),
            tuple(table.command or ()),
            tuple(table.master or ()),
            tuple(table.backup or ()),
            tuple(table.fault or ()),
            tuple(table.stop or ()),
            table.user,
            table.timeout,
        )
        for name, table in written.items()
    }
