"""Tests of `checks.audit.finding`."""

from __future__ import annotations

from checks.audit import Finding, Severity
from checks.audit.finding import stop
from checks.audit.steps import SetSysctl


def test_in_a_sentence() -> None:
    """A finding tells what is, what is needed, what comes of it and what mends it; a good one what is."""
    step = SetSysctl("all", "arp_ignore", 1, 0)
    wrong = Finding("arp_ignore", "0", "1", Severity.ERROR, "it would steal", (step,))
    assert str(wrong) == (
        "arp_ignore is 0, needed is 1: it would steal (sysctl -w net.ipv4.conf.all.arp_ignore=1)"
    )
    assert str(Finding("arp_ignore", "1", "1")) == "arp_ignore is 1"
    assert str(Finding("route", "via x", "y", Severity.ERROR, "lost")) == "route is via x, needed is y: lost"


def test_a_stop_is_for_a_person() -> None:
    """It has advice instead of steps."""
    finding = stop("device x", "missing", "there", "nothing unwraps", "choose another")
    assert (finding.ok, finding.stops, finding.mend) == (False, True, ())
    assert finding.commands == ["choose another"]
