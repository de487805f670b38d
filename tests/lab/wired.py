"""A director and its reconciler, wired to each other as in the daemon, over any table."""

from __future__ import annotations

from pathlib import Path

from lvsha.config import Config
from lvsha.daemon.director import Director
from lvsha.daemon.memory import Memory
from lvsha.daemon.reconciler import Kernel, Reconciler


def wired(config: Config, table: Kernel, directory: Path, period: float = 30) -> tuple[Director, Reconciler]:
    """Both, with the state in a directory; nothing runs yet."""
    held: list[Reconciler] = []
    director = Director(config, Memory(directory), look=lambda keys=None: held[0].look(keys))
    held.append(Reconciler(table, director, period))
    return director, held[0]
