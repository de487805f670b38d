"""Tests of lvsha.daemon.plain: a configuration as JSON, without its secrets."""

from __future__ import annotations

import json
from dataclasses import replace
from ipaddress import ip_interface

from checks.http import Http
from lvsha.config import CheckConfig, KeyAuth, PasswordAuth, VipConfig, VrrpConfig
from lvsha.daemon.plain import HIDDEN, plain
from lvsha.model import Family
from tests.lab.services import config, server, service

VRRP = VrrpConfig(
    "public", "eth0", 51, 3, Family.IPV4, 100, 1.0, (VipConfig(ip_interface("192.0.2.100/24"), "eth0"),)
)


def test_a_configuration_becomes_json() -> None:
    """Addresses, modes and checks are text and numbers."""
    document = json.loads(json.dumps(plain(config(service(server(1))))))
    web = document["services"]["web"]
    assert (web["address"], web["mode"], web["servers"][0]["port"]) == ("192.0.2.100", "nat", 8080)
    assert web["servers"][0]["check"]["kind"] == "tcp"


def test_secrets_are_left_out() -> None:
    """Neither a password nor a key can be read from the answer."""
    for auth in (PasswordAuth("secret12"), KeyAuth({1: b"k" * 32}, 1)):
        document = plain(replace(config(), vrrp={"public": replace(VRRP, auth=auth)}))
        text = json.dumps(document)
        assert "secret12" not in text
        assert "kkk" not in text
        assert HIDDEN in text


def test_the_headers_of_a_check_are_left_out() -> None:
    """`Authorization` is a secret like any other."""
    check = CheckConfig("http", Http(headers=(("Authorization", "Bearer secret12"),)))
    document = plain(config(service(server(1, check=check))))
    assert "secret12" not in json.dumps(document)
    assert document["services"]["web"]["servers"][0]["check"]["check"]["headers"] == HIDDEN
