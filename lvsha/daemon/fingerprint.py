"""Whether two directors run the same configuration, told by one short text.

It is a hash over the plain configuration without what may differ between the nodes of a pair: where
they keep things, and who each of them is. Secrets are not in it, because they are not in the plain
configuration: a key that differs shows by itself.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

from lvsha.config import Config
from lvsha.daemon.plain import plain

OWN = ("node", "api", "state", "files")
"""Tables that are a node's own."""


def fingerprint(config: Config) -> str:
    """64 hexadecimal digits; the same for two nodes of one file."""
    document = plain(config)
    for table, key in _own(document):
        table.pop(key, None)
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _own(document: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    """Each thing that is a node's own: the table that it stands in, and its key."""
    for key in OWN:
        yield document, key
    for key in ("address", "listen", "nodes"):
        yield document["peer"] or {}, key
    # Interfaces are named by the machine's hardware.
    yield document["sync"] or {}, "interface"
    for instance in document["vrrp"].values():
        for key in ("priority", "interface", "address", "peers"):
            yield instance, key
        for vip in (*instance["addresses"], *instance["excluded"]):
            yield vip, "interface"
