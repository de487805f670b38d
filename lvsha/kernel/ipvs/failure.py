"""What the kernel's refusals of steps mean, in words that say what to do.

IPVS answers with bare numbers, and the same number means different things to different
requests: ENOENT to a new service is a scheduler that cannot be loaded, to a known server that
it is not there. Which is which stands in net/netfilter/ipvs/ip_vs_ctl.c and ip_vs_sync.c.

Some refusals are no faults but news: what was to be added is there, what was to be changed is
gone. Somebody else has been at the table since it was read. They are `drift`; the answer is to
look again.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass

from lvsha.errors import KernelError
from lvsha.kernel.netlink import Refusal
from lvsha.model import Service
from lvsha.plan import (
    AddServer,
    AddService,
    DeleteServer,
    DeleteService,
    IpvsStep,
    SetServer,
    SetService,
    SetTimeouts,
    StartSync,
    Step,
    StopSync,
)


class StepError(KernelError):
    """The kernel refused a step of a plan.

    `errno` is its number, `text` what it said, `drift` whether it only tells that the table is no
    longer what the plan was made from.
    """

    def __init__(self, message: str, *, number: int, text: str, drift: bool) -> None:
        super().__init__(message)
        self.errno = number
        self.text = text
        self.drift = drift


@dataclass(frozen=True, slots=True)
class Failure:
    """A step that was not carried out."""

    step: Step
    error: StepError


def failure(step: IpvsStep, refusal: Refusal) -> Failure:
    """A refusal as the failure of its step."""
    meaning = _meaning(step, refusal.errno)
    drift = _is_drift(step, refusal.errno)
    message = f"{step}: {meaning} ({refusal})" if meaning else f"{step}: {refusal}"
    return Failure(step, StepError(message, number=refusal.errno, text=str(refusal), drift=drift))


def unfit(step: Step, reason: Exception) -> Failure:
    """The failure of a step that has no form in which the kernel could be asked."""
    return Failure(step, StepError(str(reason), number=errno.EINVAL, text="not sent", drift=False))


def _is_drift(step: IpvsStep, number: int) -> bool:
    match step, number:
        case (AddService() | AddServer() | StartSync(), errno.EEXIST):
            return True
        case (
            SetService() | DeleteService() | AddServer() | SetServer() | DeleteServer() | StopSync(),
            errno.ESRCH,
        ):
            return True
        case (SetServer() | DeleteServer(), errno.ENOENT):
            return True
        case _:
            return False


def _meaning(step: IpvsStep, number: int) -> str:
    if number == errno.EPERM:
        return "needs the capability CAP_NET_ADMIN"
    if number in (errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT):
        return "the kernel's IPVS is without this address family; is IPv6 disabled?"
    match step:
        case AddService() | SetService() | DeleteService():
            return _service_meaning(step, number)
        case AddServer() | SetServer() | DeleteServer():
            return _server_meaning(step, number)
        case StartSync() | StopSync():
            return _sync_meaning(step, number)
        case SetTimeouts():
            return "a timeout is out of range" if number == errno.EINVAL else ""


def _service_meaning(step: AddService | SetService | DeleteService, number: int) -> str:
    match step, number:
        case _, errno.EEXIST:
            return "the service is there already"
        case _, errno.ESRCH:
            return "no such service"
        case ((AddService(service=service) | SetService(service=service)), errno.ENOENT):
            return _missing_module(service)
        case ((AddService(service=service) | SetService(service=service)), errno.EINVAL):
            return f"settings that the kernel does not take, or scheduler {service.scheduler} does not"
        case _:
            return ""


def _missing_module(service: Service) -> str:
    modules = [f"ip_vs_{service.scheduler}"] + ([f"ip_vs_pe_{service.engine}"] if service.engine else [])
    return f"the kernel cannot load the scheduler or engine: try `modprobe -a {' '.join(modules)}`"


def _server_meaning(step: AddServer | SetServer | DeleteServer, number: int) -> str:
    match step, number:
        case _, errno.EEXIST:
            return "the server is there already"
        case _, errno.ESRCH:
            return "no such service"
        case _, errno.ENOENT:
            return "no such server"
        case _, errno.ERANGE:
            return "the lower threshold is above the upper one, or the weight is above 2147483647"
        case AddServer(), errno.EINVAL:
            return _why_invalid(step)
        case _:
            return ""


def _why_invalid(step: AddServer) -> str:
    """ip_vs_new_dest, ip_vs_add_dest and ip_vs_genl_set_cmd give EINVAL for these reasons."""
    if step.key.address.version != (4 if step.service.family == 2 else 6):
        return (
            "a server of another family than its service's needs the tunnel method and a stopped sync daemon"
        )
    return (
        "the address is not unicast, or the namespace has no local routes yet (`ip link set lo up`), "
        "or a GUE tunnel has no port"
    )


def _sync_meaning(step: StartSync | StopSync, number: int) -> str:
    match number:
        case errno.EEXIST:
            return "this role is running already"
        case errno.ESRCH:
            return "this role is not running"
        case errno.ENODEV:
            return f"no interface {step.daemon.interface}, or it is down"
        case errno.ENETUNREACH | errno.EADDRNOTAVAIL:
            return f"{step.daemon.interface} has no address or no route for the group (yet)"
        case errno.EINVAL:
            return (
                "the kernel does not synchronise while servers of another family than their service's exist; "
                "or the group is not multicast"
            )
        case _:
            return ""
