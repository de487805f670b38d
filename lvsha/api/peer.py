"""Who asks: the process at the other end of a Unix socket, as the kernel vouches for it.

What is set by hand is kept for weeks, and somebody will ask who did it. The kernel knows the user
and the process (SO_PEERCRED), and the user who once logged in, behind any sudo, where audit is on
(`/proc/PID/loginuid`).
"""

from __future__ import annotations

import asyncio
import contextlib
import pwd
import socket
import struct
from pathlib import Path

from aiohttp import web

_CREDENTIALS = struct.Struct("iII")
"""struct ucred of socket(7): process, user, group."""
_NOBODY_LOGGED_IN = 2**32 - 1
PATIENCE = 1.0
"""Seconds that the user database may take; it may be a directory server far away."""


async def asker(request: web.Request) -> str:
    """The user and process at the other end, such as `root (alice), process 4711`."""
    sock = request.transport.get_extra_info("socket") if request.transport else None
    if sock is None or sock.family is not socket.AF_UNIX:
        return "unknown"
    data = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, _ = _CREDENTIALS.unpack(data)
    login = _login(pid)
    user = await _name(uid)
    behind = f" ({await _name(login)})" if login not in (None, uid) else ""
    return f"{user}{behind}, process {pid}"


def _login(pid: int) -> int | None:
    """The user who logged in and started what became this process; None: nobody did, or unknown."""
    try:
        uid = int(Path(f"/proc/{pid}/loginuid").read_text())
    except (OSError, ValueError):
        return None
    return None if uid == _NOBODY_LOGGED_IN else uid


async def _name(uid: int | None) -> str:
    if uid is None:
        return "unknown"
    with contextlib.suppress(TimeoutError, KeyError):
        async with asyncio.timeout(PATIENCE):
            return (await asyncio.to_thread(pwd.getpwuid, uid)).pw_name
    return f"uid {uid}"
