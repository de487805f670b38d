"""Tests of `checks.audit.facts`: what iproute2 and BusyBox print, and what somebody else might."""

from __future__ import annotations

import contextlib
import re
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checks.audit import AuditError, parse
from checks.audit.facts import Conf6, Link

LO = r"link 1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue\    link/loopback 00:00:00:00:00:00"
WHOLE = f"""\
lvsha-audit 1
kernel 6.1.0
{LO}
link 3: eth0@if4: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue \\    link/ether 02:00:00:00:00:01
address 1: lo    inet 127.0.0.1/8 scope host lo\\       valid_lft forever preferred_lft forever
address 3: eth0    inet 10.0.1.11/24 brd 10.0.1.255 scope global eth0\\       valid_lft forever
address 3: eth0    inet6 2001:db8::11/64 scope global deprecated nodad \\       valid_lft forever
address 3: eth0    inet 192.0.2.100/24 scope global secondary dynamic noprefixroute eth0\\   valid_lft 3sec
address 3: eth0    inet6 2001:db8::100/64 scope global deprecated dynamic noprefixroute \\ valid_lft 3sec
address 4: ppp0    inet 10.9.0.1 peer 10.9.0.2/32 scope global ppp0\\       valid_lft forever
route default via 10.0.1.254 dev eth0 proto static metric 100
route default proto ra \\\tnexthop via fe80::1 dev eth0 weight 1 \\\tnexthop via fe80::2 dev eth0 weight 1
route default via inet6 fe80::3 dev eth0
fou
fou port 6080 gue -6
fou port 5555 ipproto 4
proxy 2001:db8::100 dev eth0 proxy
ipv4 all 1 2 0
ipv4 default 0 0 2
ipv4 eth0 0 0 -
ipv6 eth0 0 1 1
end
"""


def printed(name: str, flags: str, kind: str, ends: str, details: str = "") -> str:
    """A tunnel device as `ip -oneline -details link` prints it; without details, as BusyBox does."""
    line = rf"5: {name}@NONE: <{flags}> mtu 1480 qdisc noop state DOWN\    link/{kind} {ends}"
    return rf"{line} promiscuity 0 minmtu 0 \    {details} numtxqueues 1" if details else line


NOBODY = ":".join(["00"] * 16)
SOMEBODY = "20:01:0d:b8:00:02:00:00:00:00:00:00:00:00:00:11"
TUNNELS = [
    (
        printed(
            "tunl0",
            "NOARP",
            "ipip",
            "0.0.0.0 brd 0.0.0.0",
            "ipip any remote any local any ttl inherit nopmtudisc",
        ),
        Link("tunl0", frozenset({"NOARP"}), 1480, "ipip", None, None, False, "any"),
    ),
    (
        printed(
            "x", "NOARP,UP", "ipip", "10.0.1.11 brd 0.0.0.0", "ipip any remote any local 10.0.1.11 ttl 64"
        ),
        Link("x", frozenset({"NOARP", "UP"}), 1480, "ipip", ip_address("10.0.1.11"), None, False, "any"),
    ),
    (
        printed("s", "NOARP", "sit", "10.0.1.11 brd 0.0.0.0", "sit ip6ip remote any local 10.0.1.11 ttl 64"),
        Link("s", frozenset({"NOARP"}), 1480, "sit", ip_address("10.0.1.11"), None, False, "ip6ip"),
    ),
    (
        printed(
            "g", "NOARP", "gre", "10.0.1.11 peer 10.0.1.1", "gre remote 10.0.1.1 local 10.0.1.11 ttl 64 icsum"
        ),
        Link("g", frozenset({"NOARP"}), 1480, "gre", ip_address("10.0.1.11"), ip_address("10.0.1.1"), True),
    ),
    (
        printed("ip6tnl0", "NOARP", "tunnel6", ":: brd ::", "ip6tnl ip6ip6 remote any local any hoplimit 64"),
        Link("ip6tnl0", frozenset({"NOARP"}), 1480, "ip6tnl", None, None, False, "ip6ip6"),
    ),
    (
        printed(
            "h", "NOARP", "gre6", "2001:db8::11 brd ::", "ip6gre remote any local 2001:db8::11 hoplimit 64"
        ),
        Link("h", frozenset({"NOARP"}), 1480, "ip6gre", ip_address("2001:db8::11")),
    ),
    (
        printed("b", "NOARP", "ipip", "10.0.1.11 peer 10.0.1.1"),
        Link("b", frozenset({"NOARP"}), 1480, "ipip", ip_address("10.0.1.11"), ip_address("10.0.1.1")),
    ),
    (
        printed("c", "NOARP", "tunnel6", f"{SOMEBODY} brd {NOBODY}"),
        Link("c", frozenset({"NOARP"}), 1480, "ip6tnl", ip_address("2001:db8:2::11")),
    ),
    (
        printed("ip6gre0", "NOARP", "[823]", f"{NOBODY} brd {NOBODY}"),
        Link("ip6gre0", frozenset({"NOARP"}), 1480, "ip6gre"),
    ),
]


def told(*lines: str) -> bytes:
    """An answer with these lines in it, and what must be there."""
    always = ("ipv4 all 0 0 0", "ipv4 default 0 0 0", LO)
    return "\n".join(["lvsha-audit 1", *always, *lines, "end", ""]).encode()


def test_a_whole_answer() -> None:
    """Links, addresses, settings, gateways, ports and proxies are found in it."""
    facts = parse(WHOLE.encode())
    assert facts.kernel == "6.1.0"
    assert (facts.links["eth0"].mtu, facts.links["eth0"].up, facts.links["eth0"].silent) == (
        1500,
        True,
        False,
    )
    assert [f"{h.device} {h.address} {h.scope}" for h in facts.addresses] == [
        "lo 127.0.0.1/8 host",
        "eth0 10.0.1.11/24 global",
        "eth0 2001:db8::11/64 global",
        "eth0 192.0.2.100/24 global",
        "eth0 2001:db8::100/64 global",
        "ppp0 10.9.0.1/32 global",
    ]
    assert [str(h.address) for h in facts.addresses if h.leased] == ["192.0.2.100/24", "2001:db8::100/64"]
    assert [str(route.via) for route in facts.routes] == ["10.0.1.254", "fe80::1", "fe80::2", "fe80::3"]
    assert facts.fou == {(6080, 6, True), (5555, 4, False)}
    assert facts.proxies == {(ip_address("2001:db8::100"), "eth0")}
    assert facts.ipv6 == {"eth0": Conf6(0, 1, 1)}
    # A kernel without a setting has nothing to be wrong there.
    assert facts.ipv4["eth0"].rp_filter == 0


@pytest.mark.parametrize(("line", "wanted"), TUNNELS, ids=[link.name for _, link in TUNNELS])
def test_tunnels(line: str, wanted: Link) -> None:
    """Kind, ends, checksum and payload of tunnel devices, of iproute2 and of BusyBox."""
    link = parse(told(f"link {line}")).links[wanted.name]
    assert link == wanted
    assert link.silent


def test_no_fou() -> None:
    """A kernel without fou is told from one without ports."""
    assert parse(told()).fou is None
    assert parse(told("fou")).fou == frozenset()


@pytest.mark.parametrize(
    ("rule", "clamps"),
    [
        ("ip saddr { 192.0.2.100, 192.0.2.101 } tcp flags syn tcp option maxseg size set 1440", 2),
        ("ip6 saddr 2001:db8::100 tcp flags syn / syn,rst tcp option maxseg size set 1420", 1),
        ("-A OUTPUT -s 192.0.2.100/32 -p tcp -m tcp --tcp-flags SYN,RST SYN -j TCPMSS --set-mss 1440", 1),
        ("-A OUTPUT -p tcp -m tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu", 0),
        ("ip saddr @some tcp flags syn tcp option maxseg size set 1440", 0),
    ],
)
def test_clamps(rule: str, clamps: int) -> None:
    """What makes the MSS of an address smaller, as nft and iptables say it; other rules are nothing."""
    facts = parse(told("no-nft", f"clamp {rule}"))
    assert (facts.nft, len(facts.clamps)) == (False, clamps)
    assert all(size in (1420, 1440) for _, size in facts.clamps)
    assert parse(told("nft")).nft is True
    assert parse(told()).nft is None


def test_a_greeting_may_come_first() -> None:
    """What a login prints before the script begins is passed over."""
    assert parse(b"Welcome to rs1!\n" + told()).links.keys() == {"lo"}


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"", "no audit came back"),
        (b"This account is not available.\n", "no audit came back, but 'This account"),
        (b"lvsha-audit 1\nno-ip\n", "has no `ip` command"),
        (WHOLE[: WHOLE.index("route")].encode(), "cut short after"),
        (b"lvsha-audit 1\nend\n", "does not tell of `lo`"),
        (told("ipv4 eth0 0 0"), "not as it should be: 'ipv4 eth0 0 0'"),
        (told("ipv4 eth0 0 0 zero"), "not as it should be"),
        (told("ipv4 $(reboot) 0 0 0"), "not as it should be"),
        (told("link 2: a;b: <UP> mtu 1500 x"), "not as it should be"),
        (told("link 2: eth0: mtu 1500"), "not as it should be"),
        (told("address 2: eth0 inet 10.0.0.300/24 scope global eth0"), "not as it should be"),
        (told("address 2: eth0 inet"), "not as it should be"),
        (told("route default via nowhere dev eth0"), "not as it should be"),
        (told("fou port many gue"), "not as it should be"),
        (told("proxy 2001:db8::1"), "not as it should be"),
        (told("surprise"), "not as it should be: 'surprise'"),
        (told("\x1b[2J"), r"not as it should be: '\x1b[2J'"),
    ],
)
def test_hostile_answers(answer: bytes, message: str) -> None:
    """Whatever is not the script's output is refused with a message that shows it, made harmless."""
    with pytest.raises(AuditError, match=re.escape(message)) as refused:
        parse(answer)
    assert str(refused.value).isprintable()


@given(st.binary(max_size=300))
def test_any_bytes(answer: bytes) -> None:
    """Bytes of any kind come to an AuditError."""
    with pytest.raises(AuditError):
        parse(answer)


@given(st.lists(st.tuples(st.integers(0, 20), st.text(max_size=30)), max_size=5))
def test_spoilt_answers(changes: list[tuple[int, str]]) -> None:
    """An answer with lines exchanged for others is either understood or refused."""
    lines = WHOLE.splitlines()
    for index, text in changes:
        lines[index % len(lines)] = text
    with contextlib.suppress(AuditError):
        assert "lo" in parse("\n".join(lines).encode()).links
