"""Tells systemd how the service is: sd_notify(3) by a datagram, without a library.

Outside systemd (no NOTIFY_SOCKET in the environment) every call does nothing.
"""

from __future__ import annotations

import os
import socket


def notify(*lines: str) -> bool:
    """Send `READY=1`, `WATCHDOG=1`, `STATUS=...`, ...; whether there was anybody to tell.

    A service manager that is gone or does not read is not worth an error: it notices by itself.
    """
    path = os.environ.get("NOTIFY_SOCKET")
    if not path:
        return False
    address = "\0" + path[1:] if path.startswith("@") else path
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
        channel.setblocking(False)
        try:
            channel.sendto("\n".join(lines).encode(), address)
        except OSError:
            return False
    return True


def watchdog_period() -> float | None:
    """Seconds within which systemd wants to hear WATCHDOG=1; None when it does not.

    sd_watchdog_enabled(3): WATCHDOG_PID, where set, names the process that is meant.
    """
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    try:
        return int(os.environ["WATCHDOG_USEC"]) / 1e6
    except (KeyError, ValueError):
        return None
