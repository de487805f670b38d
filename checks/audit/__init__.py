"""What a real server of direct routing or of a tunnel must be like, and how one sees whether it is.

A server in mode `dr` or `tun` holds the service's address as the director does, and must keep still
about it. What that takes is folklore: sysctls of which the kernel takes the larger of two, tunnel
devices that unwrap only their own checksum, addresses that must not stand on a real interface. Here
it is written down once, as functions of plain values, and three shells use it: the check of kind
`realserver` and `lvsha-cli realserver check --ssh` from the director, `lvsha-cli realserver` on the
server itself.

    preparation  what a server is to be prepared for: mode, addresses, tunnel
    script       a POSIX shell script that reads and prints, and changes nothing: no lvsha is needed there
    facts        what it printed, as values
    sysctls      ARP and reverse path: which value counts, which are right
    tunnels      the devices that unwrap
    examine      preparation and facts -> findings, each with the steps that mend it
    finding      what is, what is needed, why
    steps        one change, as the command that makes it and the one that takes it back

Nothing here does I/O.
"""

from __future__ import annotations

from checks.audit.examine import examine
from checks.audit.facts import AuditError, Facts, parse
from checks.audit.finding import Finding, Severity
from checks.audit.preparation import Encapsulation, Preparation
from checks.audit.script import LARGEST, SCRIPT
from checks.audit.steps import Step

__all__ = [
    "LARGEST",
    "SCRIPT",
    "AuditError",
    "Encapsulation",
    "Facts",
    "Finding",
    "Preparation",
    "Severity",
    "Step",
    "examine",
    "parse",
]
