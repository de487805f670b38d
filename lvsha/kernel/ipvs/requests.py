"""The request that carries out a step of a plan."""

from __future__ import annotations

import struct
from typing import assert_never

from lvsha.errors import InputError
from lvsha.kernel import genl
from lvsha.kernel.attributes import pack
from lvsha.kernel.ipvs import abi, servers, services, sync
from lvsha.kernel.ipvs.config import pack_timeouts
from lvsha.model import Server, ServerKey, Service, ServiceKey
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
    StopSync,
)


def request(step: IpvsStep) -> bytes:
    """The body of the generic netlink message for a step.

    Raises InputError, with the step, where a value has no place in the kernel's format.
    """
    try:
        return _request(step)
    except (struct.error, OverflowError) as error:
        raise InputError(f"{step}: a number is out of range: {error}") from error
    except (ValueError, InputError) as error:
        raise InputError(f"{step}: {error}") from error


def command(number: int, attributes: bytes = b"") -> bytes:
    """The body of any message to IPVS."""
    return genl.message(number, abi.VERSION, attributes)


def of_service(number: int, key: ServiceKey) -> bytes:
    """A command about a service that names it and nothing more."""
    return command(number, pack(abi.SERVICE, services.pack_key(key)))


def _request(step: IpvsStep) -> bytes:
    match step:
        case AddServer(service, key, server):
            return _whole_server(abi.NEW_DEST, service, key, server)
        case SetServer(service, key, server):
            return _whole_server(abi.SET_DEST, service, key, server)
        case DeleteServer(service, key):
            return _server(abi.DEL_DEST, service, servers.pack_key(key))
        case AddService(name, service):
            return _whole_service(abi.NEW_SERVICE, name, service)
        case SetService(name, service):
            return _whole_service(abi.SET_SERVICE, name, service)
        case DeleteService(name):
            return of_service(abi.DEL_SERVICE, name)
        case SetTimeouts(timeouts):
            return command(abi.SET_CONFIG, pack_timeouts(timeouts))
        case StartSync(daemon):
            return command(abi.NEW_DAEMON, pack(abi.DAEMON, sync.pack_daemon(daemon)))
        case StopSync(daemon):
            return command(abi.DEL_DAEMON, pack(abi.DAEMON, sync.pack_role(daemon)))
        case _:
            assert_never(step)


def _whole_service(number: int, key: ServiceKey, service: Service) -> bytes:
    return command(number, pack(abi.SERVICE, services.pack_service(key, service)))


def _whole_server(number: int, service: ServiceKey, key: ServerKey, server: Server) -> bytes:
    return _server(number, service, servers.pack_server(key, server))


def _server(number: int, service: ServiceKey, attributes: bytes) -> bytes:
    return command(number, pack(abi.SERVICE, services.pack_key(service)) + pack(abi.DEST, attributes))
