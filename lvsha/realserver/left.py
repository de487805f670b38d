"""What taking back leaves open: addresses that stood there before the first set-up.

They are not lvsha's, so they stay. But the settings that kept the server still about them go, and so it
answers for them from now on, as it did before. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from checks.audit import Facts, Finding, Preparation, Severity, Step
from checks.audit.facts import Held
from checks.audit.steps import SetSysctl
from checks.audit.sysctls import arp


def open_after(facts: Facts, back: Iterable[Step]) -> Iterator[Finding]:
    """Warnings about the server as it is once `back` was taken back."""
    if not any(isinstance(step, SetSysctl) and step.setting.startswith("arp_") for step in back):
        return
    for held in facts.addresses:
        if _hidden(held, facts) and not _still(held, facts):
            why = (
                "it was there before the first set-up and stays, and the server answers for it as it did then"
            )
            advice = f"ip address del {held.address} dev {held.device}"
            found, needed = f"on {held.device}", "on no interface, if it is a service's"
            yield Finding(f"address {held.address.ip}", found, needed, Severity.WARNING, why, (), advice)


def _hidden(held: Held, facts: Facts) -> bool:
    """Whether it is where a real server has a service's address."""
    link, address = facts.links.get(held.device), held.address.ip
    usual = address.is_loopback or address.is_link_local
    return link is not None and link.silent and address.version == 4 and not usual


def _still(held: Held, facts: Facts) -> bool:
    return all(finding.ok for finding in arp(Preparation("dr", (str(held.address.ip),)), facts))
