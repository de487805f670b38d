"""What refusals mean."""

from __future__ import annotations

import errno
from ipaddress import ip_address

import pytest

from lvsha.kernel.ipvs.failure import failure, unfit
from lvsha.kernel.netlink import Refusal
from lvsha.model import (
    AddressKey,
    Method,
    Protocol,
    Server,
    ServerKey,
    Service,
    SyncDaemon,
    SyncRole,
    Timeouts,
)
from lvsha.plan import (
    AddServer,
    AddService,
    DeleteServer,
    DeleteService,
    SetServer,
    SetService,
    SetTimeouts,
    StartSync,
    Step,
    StopSync,
)

WEB = AddressKey(Protocol.TCP, ip_address("192.0.2.1"), 80)
RS1 = ServerKey(ip_address("10.0.0.1"), 80)
RS6 = ServerKey(ip_address("2001:db8::1"), 80)
ROUTE = Server(Method.ROUTE, 1)
SYNC = SyncDaemon(SyncRole.MASTER, "eth7", 3)
ALL_STEPS: list[Step] = [
    AddService(WEB, Service("rr")),
    SetService(WEB, Service("rr")),
    DeleteService(WEB),
    AddServer(WEB, RS1, ROUTE),
    SetServer(WEB, RS1, ROUTE),
    DeleteServer(WEB, RS1),
    SetTimeouts(Timeouts(1, 2, 3)),
    StartSync(SYNC),
    StopSync(SYNC),
]
DRIFT = {
    (AddService, errno.EEXIST),
    (AddServer, errno.EEXIST),
    (StartSync, errno.EEXIST),
    (SetService, errno.ESRCH),
    (DeleteService, errno.ESRCH),
    (AddServer, errno.ESRCH),
    (SetServer, errno.ESRCH),
    (DeleteServer, errno.ESRCH),
    (StopSync, errno.ESRCH),
    (SetServer, errno.ENOENT),
    (DeleteServer, errno.ENOENT),
}


@pytest.mark.parametrize("step", ALL_STEPS, ids=str)
def test_exists_and_not_found_are_drift_and_nothing_else(step: Step) -> None:
    """Of all that a kernel may answer, only those tell that the table has changed under the plan."""
    for number in errno.errorcode:
        failed = failure(step, Refusal(number))
        assert failed.error.drift == ((type(step), number) in DRIFT)


@pytest.mark.parametrize("step", ALL_STEPS, ids=str)
def test_every_refusal_names_the_step_and_what_the_kernel_said(step: Step) -> None:
    """Also the number that nobody thought of, and the kernel's own words."""
    for number in (*errno.errorcode, 999):
        failed = failure(step, Refusal(number, "the kernel's own words"))
        assert failed.step is step
        assert failed.error.errno == number
        assert str(failed.error).startswith(f"{step}: ")
        assert "the kernel's own words" in str(failed.error)
        assert errno.errorcode.get(number, "999") in failed.error.text


@pytest.mark.parametrize(
    ("step", "number", "said"),
    [
        (AddService(WEB, Service("mh")), errno.ENOENT, "try `modprobe -a ip_vs_mh`"),
        (SetService(WEB, Service("rr", engine="sip")), errno.ENOENT, "`modprobe -a ip_vs_rr ip_vs_pe_sip`"),
        (AddServer(WEB, RS1, ROUTE), errno.EINVAL, "ip link set lo up"),
        (AddServer(WEB, RS6, ROUTE), errno.EINVAL, "needs the tunnel method and a stopped sync daemon"),
        (AddServer(WEB, RS1, ROUTE), errno.ESRCH, "no such service"),
        (SetServer(WEB, RS1, ROUTE), errno.ENOENT, "no such server"),
        (AddServer(WEB, RS1, ROUTE), errno.ERANGE, "the lower threshold is above the upper one"),
        (StartSync(SYNC), errno.ENODEV, "no interface eth7"),
        (StartSync(SYNC), errno.ENETUNREACH, "eth7 has no address or no route"),
        (StartSync(SYNC), errno.EEXIST, "running already"),
        (SetTimeouts(Timeouts(1 << 31)), errno.EINVAL, "out of range"),
        (DeleteService(WEB), errno.EPERM, "CAP_NET_ADMIN"),
    ],
)
def test_well_known_refusals_say_what_to_do(step: Step, number: int, said: str) -> None:
    """The same number means different things to different steps."""
    assert said in str(failure(step, Refusal(number)).error)


def test_a_step_that_was_not_sent_is_a_failure_too() -> None:
    """With the reason, and no drift."""
    failed = unfit(ALL_STEPS[0], ValueError("too long"))
    assert failed.step is ALL_STEPS[0]
    assert (str(failed.error), failed.error.errno, failed.error.drift) == ("too long", errno.EINVAL, False)
