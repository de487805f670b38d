"""Generic netlink: a family is found by name, and every message starts with a command.

The controller is a family of its own with the fixed number 16 (include/uapi/linux/genetlink.h);
it turns a family's name into the number that its messages bear.
"""

from __future__ import annotations

import errno
import struct

from lvsha.errors import KernelError
from lvsha.kernel.attributes import number, pack_text, unpack
from lvsha.kernel.netlink import Netlink, RefusedError

PROTOCOL = 16
"""NETLINK_GENERIC, which the socket module does not name."""

_COMMAND = struct.Struct("=BBxx")
HEADER = _COMMAND.size

_CONTROLLER = 0x10
_GET_FAMILY = 3
_ATTR_FAMILY_ID = 1
_ATTR_FAMILY_NAME = 2
_NAME_MAX = 16


class UnknownFamilyError(KernelError):
    """The kernel has no family of this name, mostly because a module is not loaded."""


def message(command: int, version: int, attributes: bytes = b"") -> bytes:
    """The body of a generic netlink message."""
    return _COMMAND.pack(command, version) + attributes


async def family(netlink: Netlink, name: str) -> int:
    """The message type of a family.

    Raises UnknownFamilyError where the kernel does not know it.
    """
    if len(name) >= _NAME_MAX:
        raise ValueError(f"{name!r} is too long for the name of a generic netlink family")
    question = message(_GET_FAMILY, 1, pack_text(_ATTR_FAMILY_NAME, name))
    (answer,) = await netlink.ask(_CONTROLLER, [question])
    if isinstance(answer, bytes):
        return number(unpack(answer, HEADER), _ATTR_FAMILY_ID)
    if answer.errno == errno.ENOENT:
        raise UnknownFamilyError(f"the kernel has no generic netlink family {name}")
    raise RefusedError(f"look for the generic netlink family {name}", answer)
