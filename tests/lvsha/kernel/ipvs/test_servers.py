"""Real servers as IPVS's attributes."""

from __future__ import annotations

import struct
from dataclasses import astuple
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lvsha.kernel.attributes import MalformedError, pack, pack_be16, pack_u8, pack_u16, pack_u32, unpack
from lvsha.kernel.ipvs import abi
from lvsha.kernel.ipvs.servers import FOREIGN_TUNNEL, pack_key, pack_server, unpack_server
from lvsha.model import (
    Counters,
    Family,
    Method,
    Server,
    ServerKey,
    ServerState,
    Tunnel,
    TunnelFlag,
    TunnelKind,
)
from tests.lab import drawn

RS1 = ServerKey(ip_address("10.0.0.1"), 8080)


def reply(key: ServerKey, state: ServerState, *, pads: bool = False, wide: bool = True) -> bytes:
    """A server as ip_vs_genl_fill_dest of net/netfilter/ipvs/ip_vs_ctl.c writes it.

    `pads`: with the padding before 64-bit numbers that some architectures need. `wide`: as kernels
    since 4.1.
    """
    server, tunnel = state.server, state.server.tunnel
    pad = pack(11, b"") if pads else b""
    counted = enumerate(astuple(state.counters), 1)
    wide_stats = b"".join(pad + pack(kind, struct.pack("=Q", value)) for kind, value in counted)
    parts = [
        pack(abi.DEST_ADDR, key.address.packed.ljust(16, b"\0")),
        pack_be16(abi.DEST_PORT, key.port),
        pack_u32(abi.DEST_FWD_METHOD, server.method),
        pack_u32(abi.DEST_WEIGHT, server.weight),
        pack_u8(abi.DEST_TUN_TYPE, tunnel.kind),
        pack_be16(abi.DEST_TUN_PORT, tunnel.port),
        pack_u16(abi.DEST_TUN_FLAGS, tunnel.flags),
        pack_u32(abi.DEST_U_THRESH, server.upper),
        pack_u32(abi.DEST_L_THRESH, server.lower),
        pack_u32(abi.DEST_ACTIVE_CONNS, state.active),
        pack_u32(abi.DEST_INACT_CONNS, state.inactive),
        pack_u32(abi.DEST_PERSIST_CONNS, state.persistent),
        pack_u16(abi.DEST_ADDR_FAMILY, 2 if key.address.version == 4 else 10),
        pack(abi.DEST_STATS, _narrow(state.counters, pad)),
    ]
    return b"".join([*parts, pack(abi.DEST_STATS64, wide_stats)] if wide else parts)


def _narrow(counters: Counters, pad: bytes) -> bytes:
    row = b""
    for kind, value in enumerate(astuple(counters), 1):
        if kind in (4, 5):
            row += pad + pack(kind, struct.pack("=Q", value))
        else:
            row += pack_u32(kind, value & 0xFFFFFFFF)
    return row


states = st.builds(
    ServerState,
    drawn.servers,
    drawn.numbers,
    drawn.numbers,
    drawn.numbers,
    drawn.counters | st.just(Counters()),
)


@given(drawn.server_keys, drawn.servers)
def test_servers_come_back(key: ServerKey, server: Server) -> None:
    """What is packed for the kernel is what would be read from it."""
    assert unpack_server(pack_server(key, server), Family.IPV4) == (key, ServerState(server))


@given(drawn.server_keys, states, st.booleans())
def test_replies_are_read(key: ServerKey, state: ServerState, pads: bool) -> None:
    """Every value of a kernel's reply is found, with and without padding."""
    assert unpack_server(reply(key, state, pads=pads), Family.IPV4) == (key, state)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """Bytes from anywhere give a server or MalformedError, and nothing else."""
    try:
        key, _ = unpack_server(data, Family.IPV4)
    except MalformedError:
        return
    assert {abi.DEST_ADDR, abi.DEST_PORT, abi.DEST_FWD_METHOD, abi.DEST_WEIGHT} <= unpack(data).keys()
    assert 0 <= key.port <= 0xFFFF


@given(st.data())
def test_a_reply_cut_short_anywhere_is_never_a_crash(data: st.DataObject) -> None:
    """Every prefix of a reply is a server with defaults, or MalformedError."""
    whole = reply(RS1, data.draw(states))
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    try:
        unpack_server(cut, Family.IPV4)
    except MalformedError:
        return
    assert {abi.DEST_ADDR, abi.DEST_PORT, abi.DEST_FWD_METHOD, abi.DEST_WEIGHT} <= unpack(cut).keys()


def test_a_server_byte_for_byte() -> None:
    """Ports stand in network order, the tunnel's too, and everything else in the machine's."""
    server = Server(Method.TUNNEL, 5, 100, 50, Tunnel(TunnelKind.GUE, 6080, TunnelFlag.REMOTE_CHECKSUM))
    assert pack_server(RS1, server) == b"".join(
        [
            pack(1, bytes([10, 0, 0, 1]) + bytes(12)),
            pack(2, b"\x1f\x90"),
            pack_u16(11, 2),
            pack_u32(3, 2),
            pack_u32(4, 5),
            pack_u32(5, 100),
            pack_u32(6, 50),
            pack_u8(13, 1),
            pack(14, b"\x17\xc0"),
            pack_u16(15, 2),
        ]
    )
    key = ServerKey(ip_address("2001:db8::2"), 80)
    assert pack_key(key) == pack(1, key.address.packed) + pack(2, b"\x00\x50") + pack_u16(11, 10)


def test_counters_of_an_old_kernel_are_read() -> None:
    """Kernels before 4.1 send the 32-bit statistics alone."""
    state = ServerState(Server(Method.ROUTE, 1), counters=Counters(1, 2, 3, 1 << 40, 5, 6, 7, 8, 9, 10))
    assert unpack_server(reply(RS1, state, wide=False), Family.IPV4) == (RS1, state)


def test_without_a_family_of_its_own_a_server_is_of_its_services() -> None:
    """Kernels before 3.18 do not send it."""
    row = pack(1, ip_address("2001:db8::2").packed) + pack_be16(2, 80) + pack_u32(3, 3) + pack_u32(4, 1)
    key, _ = unpack_server(row, Family.IPV6)
    assert key == ServerKey(ip_address("2001:db8::2"), 80)


@pytest.mark.parametrize(("kind", "flags"), [(3, 0), (200, 3)])
def test_a_tunnel_beyond_words_is_never_what_was_wanted(kind: int, flags: int) -> None:
    """A kind of a newer kernel reads as something that no configuration can ask for."""
    server = pack_server(RS1, Server(Method.TUNNEL, 1, tunnel=Tunnel(flags=TunnelFlag(flags))))
    _, state = unpack_server(server.replace(pack_u8(13, 0), pack_u8(13, kind)), Family.IPV4)
    assert state.server.tunnel.flags & FOREIGN_TUNNEL


def test_a_method_beyond_words_is_never_what_was_wanted() -> None:
    """A method without a name here reads as BYPASS, which no mode stands for; other bits do not matter."""
    server = pack_server(RS1, Server(Method.ROUTE, 1))
    for value, method in ((7, Method.BYPASS), (0x100 | 3, Method.ROUTE)):
        _, state = unpack_server(server.replace(pack_u32(3, 3), pack_u32(3, value)), Family.IPV4)
        assert state.server.method is method


def test_equal_settings_share_one_object() -> None:
    """A table of ten thousand servers that differ in nothing but their address holds their settings once."""
    state = ServerState(Server(Method.ROUTE, 12345))
    one = unpack_server(reply(RS1, state), Family.IPV4)[1]
    other = unpack_server(reply(ServerKey(ip_address("10.0.0.2"), 80), state), Family.IPV4)[1]
    assert one.server is other.server
    assert one.counters is other.counters
