"""Tests of `lvsha.config.settings.machine`."""

from __future__ import annotations

from ipaddress import ip_address

from lvsha.config.settings.machine import PeerConfig, SyncConfig
from lvsha.model import SyncDaemon, SyncRole

ADDRESS = ip_address("192.0.2.1")


def test_secrets_stay_out_of_logs() -> None:
    """What is printed of the peer holds no key."""
    assert "s3cret" not in repr(PeerConfig(b"s3cret", ADDRESS, ADDRESS, {}))


def test_sync_is_both_roles() -> None:
    """Each with every setting, as the kernel takes them."""
    group = ip_address("224.0.0.99")
    sync = SyncConfig("eth1", 7, group, 8849, 2, 1400, 0.0)
    assert sync.daemons == {SyncDaemon(role, "eth1", 7, 1400, 8849, 2, group) for role in SyncRole}
