"""Firewalls that forward nothing by themselves: base chains at the hook `forward` whose last word is to drop.

Docker, ufw and firewalld each make one. What a server answers in modes nat and fullnat passes there, from the
server's own address: IPVS puts the service's address back "after packet filtering" (ip_vs_ops4 in
net/netfilter/ipvs/ip_vs_core.c). All such chains have to accept it, for one that drops is enough.

Only the plainest rules are read: those that ask for nothing, for a source or for an interface, and the
chains that these lead to. Of any other rule it is not known what it does. Nothing is changed, and no table
is brought into use.
"""

from __future__ import annotations

import json
import shlex
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

from lvsha.errors import KernelError
from lvsha.kernel.sourcenat import program
from lvsha.model import Address

Source = IPv4Network | IPv6Network | str
"""Where packets come from: a network, or an interface by its name."""

EVERYWHERE: tuple[Source, ...] = (ip_network("0.0.0.0/0"), ip_network("::/0"))
PATIENCE = 5.0
"""Seconds for one listing."""
_VERSIONS = {"ip": frozenset({4}), "ip6": frozenset({6}), "inet": frozenset({4, 6})}
_IPTABLES = {4: "iptables", 6: "ip6tables"}
_LAST = ("accept", "drop", "reject", "return", "goto")


@dataclass(frozen=True, slots=True)
class Gate:
    """A base chain that drops what none of its rules accepts."""

    tool: str
    """What its rules are written with: nft, iptables, ip6tables or one of these two with `-legacy`."""
    place: str
    """Family, table and chain, as nft wants them."""
    versions: frozenset[int]
    """Of IP."""
    admitted: tuple[Source, ...] = ()
    """Where what it is seen to accept comes from."""

    def admits(self, address: Address, interface: str) -> bool:
        """Whether it is seen to accept what comes from an address by an interface, or never meets it."""
        return address.version not in self.versions or any(
            source == interface if isinstance(source, str) else address in source for source in self.admitted
        )

    def opening(self, addresses: Iterable[Address]) -> str:
        """The command that has it accept what comes from these, which are all of one IP version."""
        some = list(addresses)
        if self.tool != "nft":
            return f"{self.tool} -I FORWARD -s {','.join(map(str, some))} -j ACCEPT"
        family = "ip" if some[0].version == 4 else "ip6"
        return f"nft 'insert rule {self.place} {family} saddr {{ {', '.join(map(str, some))} }} accept'"


@dataclass(frozen=True, slots=True)
class _Rule:
    sources: tuple[Source, ...]
    """Nothing: it asks for something that is not read."""
    verdict: str
    target: str = ""


async def gates() -> tuple[Gate, ...]:
    """What stands at the hook in this network namespace. Raises KernelError."""
    found: list[Gate] = []
    if nft := program.find("nft") is not None:
        found += read_nft(await _said("nft", "--json", "--terse", "list", "ruleset"))
    for version, name in _IPTABLES.items():
        # nft tells of what iptables has put into nf_tables; the older tables are not there.
        tool = f"{name}-legacy" if nft or program.find(f"{name}-save") is None else name
        if program.find(f"{tool}-save") is not None:
            found += read_saved(await _said(f"{tool}-save"), tool, version)
    return tuple(found)


async def _said(*argv: str) -> bytes:
    done = await program.run(argv, patience=PATIENCE)
    if done.status:
        raise KernelError(f"{' '.join(argv)}: {done.words or f'status {done.status}'}")
    return done.output


def read_nft(listing: bytes) -> list[Gate]:
    """What a listing in JSON says. Raises KernelError where it makes no sense."""
    try:
        return list(_nft_gates(json.loads(listing)["nftables"]))
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise KernelError(f"nft's words about its rules cannot be read: {error!r}") from error


def read_saved(text: bytes, tool: str, version: int) -> list[Gate]:
    """What `iptables-save` says, in the words of `tool`. Raises KernelError where it makes no sense."""
    try:
        return list(_saved_gates(text.decode(errors="replace"), tool, version))
    except (ValueError, LookupError) as error:
        raise KernelError(f"the words of {tool}-save cannot be read: {error!r}") from error


def _saved_gates(text: str, tool: str, version: int) -> Iterator[Gate]:
    table, policies = "", {}
    chains: dict[str, dict[str, list[_Rule]]] = defaultdict(lambda: defaultdict(list))
    for line in text.splitlines():
        if line.startswith("*"):
            table = line[1:].strip()
        elif line.startswith(":FORWARD "):
            policies[table] = line.split()[1].lower()
        elif line.startswith("-A "):
            chain, rule = _saved_rule(line)
            chains[table][chain].append(rule)
    family = "ip" if version == 4 else "ip6"
    rules = chains["filter"]
    if _shut(policies.get("filter", ""), rules["FORWARD"]):
        yield Gate(tool, f"{family} filter FORWARD", _VERSIONS[family], tuple(_admitted(rules, "FORWARD")))


def _nft_gates(objects: list[dict[str, Any]]) -> Iterator[Gate]:
    rules: dict[tuple[str, str], dict[str, list[_Rule]]] = defaultdict(lambda: defaultdict(list))
    for each in objects:
        if (rule := each.get("rule")) is not None:
            rules[rule["family"], rule["table"]][rule["chain"]].append(_nft_rule(rule["expr"]))
    for each in objects:
        base = each.get("chain", {})
        family, table, name = (str(base.get(key)) for key in ("family", "table", "name"))
        chains = rules[family, table]
        if base.get("hook") != "forward" or family not in _VERSIONS:
            continue
        if _shut(base["policy"], chains[name]):
            # iptables cannot show a chain of its own any more in which nft has put a set.
            own = (table, name) == ("filter", "FORWARD") and family != "inet"
            tool = {"ip": "iptables", "ip6": "ip6tables"}[family] if own else "nft"
            admitted = tuple(_admitted(chains, name))
            yield Gate(tool, f"{family} {table} {name}", _VERSIONS[family], admitted)


def _shut(policy: str, rules: Iterable[_Rule]) -> bool:
    """Whether the last word is to drop: by policy, or as firewalld does it, by a rule for everything."""
    return policy == "drop" or any(r.verdict in ("drop", "reject") and r.sources == EVERYWHERE for r in rules)


def _admitted(
    chains: Mapping[str, list[_Rule]], name: str, seen: frozenset[str] = frozenset()
) -> Iterator[Source]:
    """Where what a chain accepts comes from."""
    for rule in chains.get(name, ()):
        if rule.verdict == "accept":
            yield from rule.sources
        everything = rule.sources == EVERYWHERE
        if everything and rule.verdict in ("jump", "goto") and rule.target not in seen:
            yield from _admitted(chains, rule.target, seen | {name})
        if everything and rule.verdict in _LAST:
            return


def _nft_rule(expressions: list[dict[str, Any]]) -> _Rule:
    verdict = target = ""
    asked: list[tuple[Source, ...]] = []
    for expression in expressions:
        ((kind, value),) = expression.items()
        if kind in ("accept", "drop", "reject", "return"):
            verdict = kind
        elif kind in ("jump", "goto"):
            verdict, target = kind, value["target"]
        elif kind == "match":
            asked.append(_nft_sources(value))
        elif kind not in ("counter", "log"):
            asked.append(())
    return _Rule(_together(asked), verdict, target)


def _nft_sources(match: dict[str, Any]) -> tuple[Source, ...]:
    """What a match asks for, as far as it is where a packet comes from."""
    left, right = match["left"], match["right"]
    if match["op"] != "==":
        return ()
    values = right["set"] if isinstance(right, dict) and "set" in right else [right]
    if isinstance(left, dict) and left.get("meta", {}).get("key") in ("iif", "iifname"):
        return tuple(value for value in values if isinstance(value, str))
    if isinstance(left, dict) and left.get("payload", {}).get("field") == "saddr":
        return tuple(network for value in values for network in _nft_network(value))
    return ()


def _nft_network(value: Any) -> Iterator[Source]:
    match value:
        case {"prefix": {"addr": str(address), "len": int(length)}}:
            yield from _network(f"{address}/{length}")
        case str(address):
            yield from _network(address)


def _saved_rule(line: str) -> tuple[str, _Rule]:
    """The chain and the rule of a line of `iptables-save`."""
    _, chain, *words = shlex.split(line)
    verdict = target = ""
    asked: list[tuple[Source, ...]] = []
    while words:
        match words:
            case ["-s", source, *words]:
                asked.append(tuple(_network(source)))
            case ["-i", name, *words]:
                asked.append((name,))
            case ["-m", "comment", "--comment", _, *words]:
                pass
            case ["-j" | "-g" as kind, target, *words]:
                known = target.lower() in _LAST
                verdict = target.lower() if known else {"-j": "jump", "-g": "goto"}[kind]
                words = []  # what comes now is how the target does it
            case _:
                asked.append(())
                words = words[1:]
    return chain, _Rule(_together(asked), verdict, target)


def _together(asked: list[tuple[Source, ...]]) -> tuple[Source, ...]:
    """Of several conditions it is not read what they come to."""
    return asked[0] if len(asked) == 1 else () if asked else EVERYWHERE


def _network(word: str) -> Iterator[Source]:
    try:
        yield ip_network(word, strict=False)
    except ValueError:
        return  # a named set, or a range
