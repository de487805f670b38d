"""Steps as messages, read by a decoder that lvsha's authors did not write."""

from __future__ import annotations

import struct
from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyroute2.netlink.generic.ipvs import ipvsmsg

from lvsha.errors import InputError
from lvsha.kernel import frames
from lvsha.kernel.ipvs import abi
from lvsha.kernel.ipvs.requests import of_service, request
from lvsha.model import (
    AddressKey,
    Family,
    FwmarkKey,
    Method,
    Protocol,
    Server,
    ServerKey,
    Service,
    ServiceKey,
    SyncDaemon,
    SyncRole,
    Timeouts,
    Tunnel,
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
    StopSync,
)
from tests.lab import drawn

WEB = AddressKey(Protocol.TCP, ip_address("192.0.2.1"), 80)
RS1 = ServerKey(ip_address("10.0.0.1"), 8080)


def decoded(body: bytes) -> Any:
    """A message as pyroute2 reads it."""
    message = ipvsmsg(frames.frame(30, 5, 7, body))
    message.decode()
    return message


def expected_key(key: ServiceKey) -> dict[str, object]:
    """What identifies a service, in pyroute2's words."""
    if isinstance(key, FwmarkKey):
        return {"AF": key.family, "FWMARK": key.mark}
    return {"AF": key.family, "PROTOCOL": key.protocol, "ADDR": key.address, "PORT": key.port}


def attributes(nest: Any, prefix: str) -> dict[str, Any]:
    """The attributes of a nest, by their names without the prefix; an address may be written in many ways."""
    found = {name.removeprefix(prefix): value for name, value in nest["attrs"]}
    return {name: ip_address(value) if name == "ADDR" else value for name, value in found.items()}


@given(st.data())
def test_services_mean_the_same_to_pyroute2(data: st.DataObject) -> None:
    """Command, key and settings; pyroute2 shows any mask as an IPv4 address, IPv6's prefix length too."""
    key = data.draw(drawn.keys)
    service = data.draw(drawn.services(key.family))
    step, number = data.draw(
        st.sampled_from(
            [(AddService(key, service), abi.NEW_SERVICE), (SetService(key, service), abi.SET_SERVICE)]
        )
    )
    message = decoded(request(step))
    assert (message["cmd"], message["version"]) == (number, 1)
    found = attributes(message.get_attr("IPVS_CMD_ATTR_SERVICE"), "IPVS_SVC_ATTR_")
    mask = found.pop("NETMASK")
    expected: dict[str, object] = {
        **expected_key(key),
        "SCHED_NAME": service.scheduler,
        "FLAGS": {"flags": int(service.flags), "mask": 0xFFFFFFFF},
        "TIMEOUT": service.timeout,
    }
    if service.engine:
        expected["PE_NAME"] = service.engine
    assert {name: as_plain(value) for name, value in found.items()} == expected
    bits = key.family.bits if service.prefix is None else service.prefix
    number = int.from_bytes(ip_address(mask).packed, "big")
    if key.family is Family.IPV4:
        assert f"{number:032b}" == "1" * bits + "0" * (32 - bits)
    else:
        assert struct.unpack("=I", struct.pack(">I", number)) == (bits,)


def as_plain(value: Any) -> object:
    """An attribute's value without pyroute2's own class around it."""
    return {"flags": value["flags"], "mask": value["mask"]} if hasattr(value, "keys") else value


@given(drawn.keys, drawn.server_keys, drawn.servers, st.booleans())
def test_servers_mean_the_same_to_pyroute2(
    service: ServiceKey, key: ServerKey, server: Server, adding: bool
) -> None:
    """Service, key and settings; pyroute2 alone takes the tunnel's port for the machine's order."""
    step = AddServer(service, key, server) if adding else SetServer(service, key, server)
    message = decoded(request(step))
    assert message["cmd"] == (abi.NEW_DEST if adding else abi.SET_DEST)
    assert attributes(message.get_attr("IPVS_CMD_ATTR_SERVICE"), "IPVS_SVC_ATTR_") == expected_key(service)
    found = attributes(message.get_attr("IPVS_CMD_ATTR_DEST"), "IPVS_DEST_ATTR_")
    assert struct.unpack(">H", struct.pack("=H", found.pop("TUN_PORT"))) == (server.tunnel.port,)
    assert found == {
        "ADDR": key.address,
        "PORT": key.port,
        "ADDR_FAMILY": 2 if key.address.version == 4 else 10,
        "FWD_METHOD": server.method,
        "WEIGHT": server.weight,
        "U_THRESH": server.upper,
        "L_THRESH": server.lower,
        "TUN_TYPE": server.tunnel.kind,
        "TUN_FLAGS": server.tunnel.flags,
    }


@given(drawn.keys, drawn.server_keys)
def test_deletions_name_the_object_and_nothing_more(service: ServiceKey, key: ServerKey) -> None:
    """What identifies it is enough for the kernel."""
    message = decoded(request(DeleteServer(service, key)))
    assert message["cmd"] == abi.DEL_DEST
    assert attributes(message.get_attr("IPVS_CMD_ATTR_SERVICE"), "IPVS_SVC_ATTR_") == expected_key(service)
    assert attributes(message.get_attr("IPVS_CMD_ATTR_DEST"), "IPVS_DEST_ATTR_") == {
        "ADDR": key.address,
        "PORT": key.port,
        "ADDR_FAMILY": 2 if key.address.version == 4 else 10,
    }
    message = decoded(request(DeleteService(service)))
    assert message["cmd"] == abi.DEL_SERVICE
    assert attributes(message.get_attr("IPVS_CMD_ATTR_SERVICE"), "IPVS_SVC_ATTR_") == expected_key(service)
    assert decoded(of_service(abi.GET_DEST, service))["cmd"] == abi.GET_DEST


def test_the_daemon_and_the_timeouts_have_their_commands() -> None:
    """These three pyroute2 does not take apart, so that their contents are tested elsewhere."""
    daemon = SyncDaemon(SyncRole.MASTER, "eth1", 7)
    assert decoded(request(StartSync(daemon)))["cmd"] == abi.NEW_DAEMON
    assert decoded(request(StopSync(daemon)))["cmd"] == abi.DEL_DAEMON
    message = decoded(request(SetTimeouts(Timeouts(900, 120, 300))))
    assert message["cmd"] == abi.SET_CONFIG
    assert message.get_attr("IPVS_CMD_ATTR_TIMEOUT_TCP_FIN") == "78:00:00:00"


@pytest.mark.parametrize(
    "step",
    [
        AddServer(WEB, RS1, Server(Method.ROUTE, -1)),
        AddServer(WEB, RS1, Server(Method.ROUTE, 1 << 32)),
        AddServer(WEB, RS1, Server(Method.TUNNEL, 1, tunnel=Tunnel(port=70000))),
        SetServer(WEB, ServerKey(RS1.address, 70000), Server(Method.ROUTE, 1)),
        DeleteServer(AddressKey(Protocol.TCP, WEB.address, -1), RS1),
        AddService(WEB, Service("a-name-of-16-byt")),
        AddService(WEB, Service("rr", timeout=-1)),
        StartSync(SyncDaemon(SyncRole.MASTER, "an-interface-too-long")),
        StartSync(SyncDaemon(SyncRole.MASTER, "eth1", maxlen=70000)),
        SetTimeouts(Timeouts(tcp=1 << 32)),
    ],
)
def test_a_step_that_cannot_be_said_is_told(step: Any) -> None:
    """A value beyond the kernel's format is an error that names the step, never another value."""
    with pytest.raises(InputError) as caught:
        request(step)
    assert str(step) in str(caught.value)
