"""Classic BPF: what the kernel should throw away before a process is woken for it.

A flood of packets for somebody else costs nothing then but the kernel's time. A program is a
list of `struct sock_filter` (include/uapi/linux/filter.h): code, two jump distances, operand.
"""

from __future__ import annotations

import ctypes
import socket
import struct
from collections.abc import Iterable, Sequence
from typing import Final

SO_ATTACH_FILTER = 26
"""include/uapi/asm-generic/socket.h; Python does not name it."""

# Opcodes of include/uapi/linux/bpf_common.h, as sums of class, size and mode.
_LD_BYTE = 0x30
_LD_WORD = 0x20
_LD_BYTE_INDIRECT = 0x50
_LD_HALF_INDIRECT = 0x48
_LD_NUMBER = 0x00
_LDX_NUMBER = 0x01
_LDX_MEMORY = 0x61
_LDX_HEADER_LENGTH = 0xB1
"""X = 4 * (P[k] & 0xf): the length of an IPv4 header."""
_XOR_X = 0xAC
_MULTIPLY = 0x24
_SHIFT_RIGHT = 0x74
_MODULO = 0x94
_ST = 0x02
_TAX = 0x07
_JEQ = 0x15
_JEQ_X = 0x1D
_RET = 0x06

_ATTRIBUTE, _NESTED_ATTRIBUTE = 0xFFFFF00C, 0xFFFFF010
"""SKF_AD_NLATTR, SKF_AD_NLATTR_NEST of linux/filter.h: A becomes the offset of the netlink attribute of kind
X that stands at A or behind it, or in the one at A; 0 where there is none."""

_ACCEPT = 0xFFFFFFFF

_VALUES = 400
"""More values than this a filter does not compare: the kernel charges programs to
net.core.optmem_max, 20 KiB on older kernels. Such a filter lets all of its kind through."""

Step = tuple[int, int, int, int]
Kinds = Sequence[int]
"""Of nested netlink attributes, the outermost first."""


def vrids(family: int, wanted: Iterable[int]) -> list[Step]:
    """Adverts of these virtual router ids only.

    A raw IPv4 socket filters from the IP header on, a raw IPv6 socket from the payload on.
    """
    if family == 4:
        load = [(_LDX_HEADER_LENGTH, 0, 0, 0), (_LD_BYTE_INDIRECT, 0, 0, 1)]
    else:
        load = [(_LD_BYTE, 0, 0, 1)]
    return _any_of(load, sorted(set(wanted)))


def arp_senders(wanted: Iterable[bytes]) -> list[Step]:
    """ARP whose sender address (octet 14 of the ARP packet, RFC 826) is one of these."""
    return _any_of([(_LD_WORD, 0, 0, 14)], [int.from_bytes(address) for address in wanted])


def neighbour_advertisements(wanted: Iterable[bytes]) -> list[Step]:
    """Neighbour advertisements (type 136) whose target (octet 8, RFC 4861 section 4.4) may be one of these.

    Only the last four octets are compared.
    """
    kind: list[Step] = [(_LD_BYTE, 0, 0, 0), (_JEQ, 1, 0, 136), (_RET, 0, 0, 0)]
    ends = {int.from_bytes(target[12:]) for target in wanted}
    return _any_of([*kind, (_LD_WORD, 0, 0, 20)], sorted(ends))


def echo_replies(family: int, number: int) -> list[Step]:
    """Echo replies (type 0, ICMPv6 129) to the requests that carry this identifier."""
    start = (_LDX_HEADER_LENGTH, 0, 0, 0) if family == 4 else (_LDX_NUMBER, 0, 0, 0)
    reply = 0 if family == 4 else 129
    return [
        start,
        (_LD_BYTE_INDIRECT, 0, 0, 0),
        (_JEQ, 0, 3, reply),
        (_LD_HALF_INDIRECT, 0, 0, 4),
        (_JEQ, 0, 1, number),
        (_RET, 0, 0, _ACCEPT),
        (_RET, 0, 0, 0),
    ]


def ports_changed(start: int, one: Kinds, other: Kinds) -> list[Step]:
    """Netlink messages in which two ports differ.

    Each is found by the kinds of the attributes that it is in, the first of them at `start` or behind it. A
    message that lacks one of them is thrown away.
    """
    program = [*_port(start, one), (_ST, 0, 0, 0), *_port(start, other), (_LDX_MEMORY, 0, 0, 0)]
    return [*program, (_JEQ_X, 0, 1, 0), (_RET, 0, 0, 0), (_RET, 0, 0, _ACCEPT)]


def _port(start: int, kinds: Kinds) -> list[Step]:
    """A = the two octets in an attribute."""
    program, where = [(_LD_NUMBER, 0, 0, start)], _ATTRIBUTE
    for kind in kinds:
        found: list[Step] = [(_JEQ, 0, 1, 0), (_RET, 0, 0, 0)]
        program += [(_LDX_NUMBER, 0, 0, kind), (_LD_WORD, 0, 0, where), *found]
        where = _NESTED_ATTRIBUTE
    # Behind the attribute's length and kind.
    return [*program, (_TAX, 0, 0, 0), (_LD_HALF_INDIRECT, 0, 0, 4)]


MIX: Final = ((0x9E3779B1, 16), (0x85EBCA6B, 13))
"""A factor and a shift for each word of an address, and for the end."""


def share(number: int, total: int, seed: int) -> list[Step]:
    """IPv6 packets whose source has this share of `total`: by a hash of all of its address.

    As `lvsha.kernel.sourcenat.pool.mixture` does it. At most 64 steps, which is what xt_bpf takes
    (XT_BPF_MAX_NUM_INSTR); Jenkins' hash would be twice as many.
    """
    program: list[Step] = [(_LDX_NUMBER, 0, 0, seed)]
    for word in range(4):
        # RFC 8200, section 3: the source begins at octet 8.
        program += [(_LD_WORD, 0, 0, 8 + 4 * word), (_XOR_X, 0, 0, 0), *_mixed(*MIX[0]), (_TAX, 0, 0, 0)]
    program += [*_mixed(*MIX[1]), (_MODULO, 0, 0, total)]
    return [*program, (_JEQ, 0, 1, number), (_RET, 0, 0, _ACCEPT), (_RET, 0, 0, 0)]


def _mixed(factor: int, shift: int) -> list[Step]:
    """A = A * factor, and that xor itself shifted."""
    shifted: list[Step] = [(_ST, 0, 0, 0), (_SHIFT_RIGHT, 0, 0, shift), (_LDX_MEMORY, 0, 0, 0)]
    return [(_MULTIPLY, 0, 0, factor), *shifted, (_XOR_X, 0, 0, 0)]


def text(program: list[Step]) -> str:
    """As iptables has it: the number of steps, and each in decimals."""
    return ",".join([str(len(program)), *(" ".join(map(str, step)) for step in program)])


def nothing() -> list[Step]:
    """No packet at all: for a socket that only sends, and while a socket is being set up."""
    return [(_RET, 0, 0, 0)]


def attach(sock: socket.socket, program: list[Step]) -> None:
    """Let the socket have only what the program lets through; it replaces the one before."""
    code = b"".join(struct.pack("=HBBI", *step) for step in program)
    buffer = ctypes.create_string_buffer(code, len(code))
    # struct sock_fprog: a count and a pointer, at the machine's own alignment.
    fprog = struct.pack("@HP", len(program), ctypes.addressof(buffer))
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, fprog)


def _any_of(load: list[Step], wanted: list[int]) -> list[Step]:
    """Load a value, accept if it is one of `wanted`.

    A jump reaches 255 steps, so every value has its own `ret`.
    """
    if len(wanted) > _VALUES:
        return [*load, (_RET, 0, 0, _ACCEPT)]
    program = list(load)
    for value in wanted:
        program += [(_JEQ, 0, 1, value), (_RET, 0, 0, _ACCEPT)]
    return [*program, (_RET, 0, 0, 0)]
