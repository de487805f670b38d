"""The channel between the directors: who this node is to the others, and who they are."""

from __future__ import annotations

from lvsha.config.decode import Findings, Written
from lvsha.config.problems import error
from lvsha.config.resolve.keys import key
from lvsha.config.schema.machine import PeerTable
from lvsha.config.settings.machine import PeerConfig


def peer(written: Written, node: str, findings: Findings) -> PeerConfig | None:
    """`[peer]` on this node; None where there is none, or it cannot work."""
    table = written.single.get("peer")
    if not isinstance(table, PeerTable):
        return None
    secret, problems = key(table.key, ("peer", "key"))
    findings.extend(problems)
    for name, entry in written.nodes.items():
        if entry.address is None:
            hint = 'write address = "..." here'
            findings.add(error(("nodes", name), "has no address, and [peer] connects the nodes", hint))
    if len(written.names["nodes"]) < 2:
        message = "there is no other node to connect to"
        findings.add(error(("peer",), message, "write [nodes.NAME] with an address for each director"))
    addresses = {name: entry.address for name, entry in written.nodes.items() if entry.address is not None}
    own = addresses.pop(node, None)
    if own is None or not addresses:
        return None
    return PeerConfig(secret, own, table.listen or own, addresses, table.port)
