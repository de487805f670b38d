"""Source NAT as chains of iptables, and back: pure, in the words of iptables-save(8).

For kernels without nf_tables. The same story as the table's (`ruleset`), in lists instead of maps, so
that a new connection costs a look at each service. In the table nat:

    POSTROUTING    -> LVSHA-SOURCE    a line a service and server     -> LVSHA-POOL-NAME
    LVSHA-POOL-*      a line an address: this client's share, -j SNAT

and in the table mangle:

    PREROUTING     -> LVSHA-GUARD     a line a local address          -> LVSHA-SERVERS
    LVSHA-SERVERS     a line a server, -j DROP
    POSTROUTING    -> LVSHA-STRIP     a line a service and server     -j TCPOPTSTRIP

and in the table raw, so that who does not hold an address makes no entry for it:

    PREROUTING     -> LVSHA-ABSENT    a line a service's address      -j CT --notrack

The lines are written as iptables-save would show them, so that what is there can be compared with
what is wanted line by line.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address

from lvsha import bpf
from lvsha.kernel.sourcenat.pool import SEED, Pool, pool_of, service_addresses
from lvsha.model import (
    Address,
    AddressKey,
    Family,
    FwmarkKey,
    Protocol,
    ServerKey,
    ServiceKey,
    SourceNat,
    SourceNatState,
    source_nat,
)

OWN = "LVSHA-"
_SOURCE, _POOL, _GUARD, _SERVERS, _STRIP, _ABSENT = (
    f"{OWN}{n}" for n in ("SOURCE", "POOL-", "GUARD", "SERVERS", "STRIP", "ABSENT")
)
_TRANSPORT = ("tcp", "udp")
_TIMESTAMP = 8
"""TCPOPT_TIMESTAMP (RFC 7323, 3.2)."""


@dataclass(slots=True)
class Table:
    """What is lvsha's of one of iptables' tables."""

    jumps: list[str] = field(default_factory=list)
    """Lines of the built-in chains that lead to own ones, without `-A `."""
    chains: dict[str, list[str]] = field(default_factory=dict)
    """Own chains, each with its lines, without `-A CHAIN `."""


Tables = Mapping[str, Table]
"""By the name of iptables' table."""


def tables(family: Family, entries: Iterable[SourceNat]) -> Tables:
    """The tables of one family."""
    mine = sorted((e for e in entries if e.service.family is family), key=lambda e: str(e.service))
    raw, nat, mangle = Table(), Table(), Table()
    if mine:
        _write_raw(raw, mine)
        _write_nat(nat, mine)
        _write_mangle(mangle, mine)
    return {"raw": raw, "mangle": mangle, "nat": nat}


def _write_raw(raw: Table, entries: list[SourceNat]) -> None:
    services = service_addresses(entries)
    if services:
        raw.jumps.append(f"PREROUTING -j {_ABSENT}")
        raw.chains[_ABSENT] = [
            f"-d {_host(a)} -m addrtype ! --dst-type LOCAL -j CT --notrack" for a in services
        ]


def _write_nat(nat: Table, entries: list[SourceNat]) -> None:
    nat.jumps.append(f"POSTROUTING -j {_SOURCE}")
    nat.chains[_SOURCE] = [
        f"{words} -g {_POOL}{pool_of(e).name}" for e in entries for words in _packets(e, _TRANSPORT)
    ]
    for pool in map(pool_of, entries):
        nat.chains[f"{_POOL}{pool.name}"] = list(_shares(pool.addresses))


def _write_mangle(mangle: Table, entries: list[SourceNat]) -> None:
    mangle.jumps.append(f"PREROUTING -j {_GUARD}")
    addresses = sorted({a for e in entries for a in e.addresses}, key=int)
    servers = sorted({server.address for e in entries for server in e.servers}, key=int)
    mangle.chains[_GUARD] = [
        f"-d {_host(a)} -m conntrack --ctstate INVALID,NEW -j {_SERVERS}" for a in addresses
    ]
    mangle.chains[_SERVERS] = [f"-s {_host(a)} -p {p} -j DROP" for a in servers for p in _TRANSPORT]
    stripped = [words for e in entries if e.strip_timestamps for words in _packets(e, ("tcp",))]
    if stripped:
        mangle.jumps.append(f"POSTROUTING -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -j {_STRIP}")
        mangle.chains[_STRIP] = [f"{words} -j TCPOPTSTRIP --strip-options {_TIMESTAMP}" for words in stripped]


def _packets(entry: SourceNat, protocols: Collection[str]) -> Iterator[str]:
    """The packets of a service to each of its servers, in the words of a rule."""
    key = entry.service
    if isinstance(key, AddressKey):
        protocols = [p for p in protocols if p == key.protocol.name.lower()]
    for server in sorted(entry.servers, key=str):
        for protocol in protocols:
            port = f" -m {protocol} --dport {server.port}" if server.port else ""
            yield f"-d {_host(server.address)} -p {protocol}{port} {_service(key)}"


def _service(key: ServiceKey) -> str:
    if isinstance(key, FwmarkKey):
        return f"-m mark --mark {key.mark:#x}"
    port = f" --ctorigdstport {key.port}" if key.port else ""
    return f"-m conntrack --ctorigdst {key.address}{port}"


def _shares(addresses: tuple[Address, ...]) -> Iterator[str]:
    if len(addresses) == 1:
        yield f"-j SNAT --to-source {addresses[0]}"
        return
    for number, address in enumerate(addresses):
        yield f"{_share(number, len(addresses), address)} -j SNAT --to-source {address}"


def _share(number: int, total: int, address: Address) -> str:
    """The packets of a share of the clients; see `pool`."""
    if address.version == 6:
        return f'-m bpf --bytecode "{bpf.text(bpf.share(number, total, SEED))}"'
    nodes = f"--cluster-local-nodemask {1 << number:#010x} --cluster-total-nodes {total}"
    return f"-m cluster {nodes} --cluster-hash-seed {SEED:#010x}"


def _host(address: Address) -> str:
    return f"{address}/{address.max_prefixlen}"


def script(wanted: Tables, there: Tables) -> str:
    """The input of iptables-restore --noflush that leads from what is there to what is wanted."""
    lines = [line for name in wanted for line in _table_script(name, wanted[name], there[name])]
    return "".join(f"{line}\n" for line in lines)


def _table_script(name: str, wanted: Table, there: Table) -> Iterator[str]:
    if wanted == there:
        return
    yield f"*{name}"
    # A chain that is declared is emptied, or made; only then may a jump lead to it.
    yield from (f":{chain} - [0:0]" for chain in wanted.chains)
    yield from (f"-A {chain} {line}" for chain, lines in wanted.chains.items() for line in lines)
    surplus = list(there.jumps)
    for jump in wanted.jumps:
        if jump in surplus:
            surplus.remove(jump)
        else:
            # Before the lines of others: the first that has a say about a connection's source has it alone.
            chain, _, words = jump.partition(" ")
            yield f"-I {chain} 1 {words}"
    yield from (f"-D {jump}" for jump in surplus)
    gone = [chain for chain in there.chains if chain not in wanted.chains]
    yield from (f"-F {chain}" for chain in gone)
    yield from (f"-X {chain}" for chain in gone)
    yield "COMMIT"


# --- and back -------------------------------------------------------------------------------------


def saved(text: str, names: Collection[str] = ("raw", "mangle", "nat")) -> Tables:
    """What is lvsha's of these tables, in the words of iptables-save."""
    found = {name: Table() for name in names}
    table = Table()
    for line in text.splitlines():
        if line.startswith("*"):
            table = found.get(line[1:], Table())
        elif line.startswith(f":{OWN}"):
            table.chains[line[1:].split(" ")[0]] = []
        elif line.startswith(f"-A {OWN}"):
            _, chain, words = line.split(" ", 2)
            table.chains[chain].append(words)
        elif re.search(rf" -[jg] {OWN}", line):
            table.jumps.append(line.removeprefix("-A "))
    return found


def read(family: Family, there: Tables) -> SourceNatState:
    """The values that these chains were written from, and how they differ from `tables()`."""
    try:
        entries = frozenset(_entries(family, there["nat"]))
    except (LookupError, ValueError):
        entries = frozenset()
    return SourceNatState(entries, difference(there, tables(family, entries)))


_LINE = re.compile(
    r"-d (?P<server>\S+)/\d+ -p (?P<protocol>\w+)(?: -m \w+ --dport (?P<port>\d+))? "
    r"(?:-m mark --mark (?P<mark>\S+)|"
    r"-m conntrack --ctorigdst (?P<address>\S+)(?: --ctorigdstport (?P<vport>\d+))?)"
    rf" -g {_POOL}(?P<pool>\w+)"
)


def _entries(family: Family, nat: Table) -> Iterator[SourceNat]:
    pools = {pool.name: pool for chain, lines in nat.chains.items() for pool in _pools(chain, lines)}
    servers: dict[tuple[ServiceKey, Pool], set[ServerKey]] = {}
    for line in nat.chains.get(_SOURCE, []):
        found = _LINE.fullmatch(line)
        if found is None or found["pool"] not in pools:
            continue  # not as lvsha writes it, which the comparison will tell
        server = ServerKey(ip_address(found["server"]), int(found["port"] or 0))
        servers.setdefault((_key(family, found), pools[found["pool"]]), set()).add(server)
    for (key, pool), held in servers.items():
        yield source_nat(key, pool.addresses, held, strip_timestamps=pool.strip_timestamps)


def _pools(chain: str, lines: list[str]) -> Iterator[Pool]:
    if not chain.startswith(_POOL):
        return
    addresses = tuple(ip_address(line.rpartition(" ")[2]) for line in lines)
    both = (Pool(addresses, strip_timestamps=True), Pool(addresses, strip_timestamps=False))
    yield from (pool for pool in both if chain == f"{_POOL}{pool.name}")


def _key(family: Family, found: re.Match[str]) -> ServiceKey:
    if found["mark"] is not None:
        return FwmarkKey(family, int(found["mark"], 16))
    protocol = Protocol[found["protocol"].upper()]
    return AddressKey(protocol, ip_address(found["address"]), int(found["vport"] or 0))


def difference(there: Tables, wanted: Tables) -> str:
    """The first thing that is other than it should be, in words; empty: nothing is."""
    for name, want in wanted.items():
        have = there[name]
        for chain, lines in want.chains.items():
            if chain not in have.chains:
                return f"there is no chain {chain}"
            if have.chains[chain] != lines:
                return f"chain {chain} was changed"
        if have.chains.keys() != want.chains.keys():
            return f"nothing needs the chain {min(have.chains.keys() - want.chains.keys())}"
        if sorted(have.jumps) != sorted(want.jumps):
            return f"what leads from the table {name} to lvsha's chains was changed"
    return ""
