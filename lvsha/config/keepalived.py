"""The words of keepalived.conf, and what each is called here.

Whoever comes from there writes them by habit, or takes a file over key by key; the error then names the
key that is meant. Words that mean the same in both are not here, nor are those that nobody would look for.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

_TRACK = "`track = [{ %s = ... }]` of the instance"
_CHECK = 'a check with `kind = "%s"`'
_NOTIFY = "`[notify.NAME]` with `instances` or `groups`"
_AUTH = '`auth = { password = "..." }` (version 2) or `auth = { keys = ... }` (version 3)'
_STRICT = "not needed: the protocol is kept to, and `config check` tells what it does not allow"
_ALERT = 'an event: every log line with `"alert": true`, and `lvsha-cli events -f`'

SECTIONS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "Blocks": {
            "global_defs": "spread over [node], [api], [speaker] and [ipvs]",
            "vrrp_instance": "[vrrp.NAME]",
            "vrrp_sync_group": "`group`, the same word in each of its instances",
            "vrrp_script": _TRACK % "script",
            "vrrp_track_process": _TRACK % "process",
            "vrrp_track_file": _TRACK % "file",
            "virtual_server": "[services.NAME]",
            "virtual_server_group": "a [services.NAME] for each address, or one with `fwmark`",
            "real_server": "[[services.NAME.servers]]",
            "sorry_server": "[[services.NAME.fallback]]",
        },
        "Instances": {
            "virtual_router_id": "`vrid`",
            "advert_int": "`interval`",
            "virtual_ipaddress": "`addresses`",
            "virtual_ipaddress_excluded": "`excluded`",
            "vrrp_version": "`version`",
            "nopreempt": "`preempt = false`",
            "state": "not needed: each node begins as backup, and the highest `priority` becomes master",
            "unicast_peer": "`unicast = true`, with `address` of each in [nodes.NAME], or with `peers`",
            "unicast_src_ip": "`address` in [nodes.NAME]",
            "mcast_src_ip": "`address` in [nodes.NAME.vrrp.INSTANCE]",
            "authentication": _AUTH,
            "auth_type": _AUTH,
            "auth_pass": _AUTH,
            "auth_hmac": _AUTH,
            "use_vmac": "`virtual_mac = true`",
            "no_accept": "`accept = false`",
            "strict_mode": _STRICT,
            "vrrp_strict": _STRICT,
            "v3_checksum_as_v2": '`checksum = "plain"`',
            "garp_master_delay": "`garp = { delay = ... }`",
            "garp_master_repeat": "`garp = { repeat = ... }`",
            "garp_master_refresh": "`garp = { refresh = ... }`",
            "garp_interval": "`garp = { interval = ... }`",
            "gna_interval": "`garp = { interval = ... }`",
            "vrrp_startup_delay": "`start_delay` of each instance",
            "interface_up_down_delays": "`carrier_delay` of each instance",
            "dont_track_primary": "`needs_carrier = false`, and the dangers stand in the documentation",
            "down_timer_adverts": "not to be set: three adverts and the skew, as in RFC 9568",
            "track_interface": _TRACK % "interface",
            "track_script": _TRACK % "script",
            "track_process": _TRACK % "process",
            "track_file": _TRACK % "file",
            "virtual_routes": "not there: routes stay as they are, or a program of `[notify.NAME]` sets them",
            "virtual_rules": "not there: rules stay as they are, or a program of `[notify.NAME]` sets them",
            "notify": _NOTIFY,
            "notify_master": _NOTIFY + ", and `master`",
            "notify_backup": _NOTIFY + ", and `backup`",
            "notify_fault": _NOTIFY + ", and `fault`",
            "notify_stop": _NOTIFY + ", and `stop`",
            "smtp_alert": _ALERT,
            "notification_email": _ALERT,
            "router_id": "`name` in [node]",
            "script_user": "`user`, where a program is named",
            "enable_script_security": "always so: what others than root can change is not run as root",
            "vrrp_rt_priority": "`realtime` in [speaker]",
        },
        "Services and servers": {
            "lb_algo": "`scheduler`",
            "lvs_sched": "`scheduler`",
            "lb_kind": '`mode`: "nat", "dr", "tun" or "fullnat"',
            "lvs_method": '`mode`: "nat", "dr", "tun" or "fullnat"',
            "persistence_timeout": "`persistence = { timeout = ... }`",
            "persistence_granularity": "`persistence = { netmask = ... }`",
            "persistence_engine": "`persistence = { engine = ... }`",
            "ops": "`one_packet = true`",
            "inhibit_on_failure": '`on_failure = "quiesce"`',
            "uthreshold": "`upper`",
            "lthreshold": "`lower`",
            "alpha": "always so: a server that is new waits for its first success",
            "omega": "not there: at a stop IPVS stays as it is",
            "quorum": '`floor`, or `track = [{ service = "NAME", at_least = ... }]` of the instance',
            "hysteresis": "not there: `rise` and `fall` of the check keep the count of servers from flapping",
            "ha_suspend": "not there: both directors check all the time, so that either can take over",
            "quorum_up": _ALERT,
            "quorum_down": _ALERT,
            "notify_up": _ALERT,
            "notify_down": _ALERT,
            "lvs_sync_daemon": "[sync]",
            "lvs_timeouts": "[ipvs.timeouts]",
            "lvs_flush": "not there: the table is made equal to the configuration, never flushed",
        },
        "Checks": {
            "delay_loop": "`interval` of the check",
            "tcp_check": _CHECK % "tcp",
            "http_get": _CHECK % "http",
            "ssl_get": _CHECK % "https",
            "smtp_check": _CHECK % "smtp",
            "dns_check": _CHECK % "dns",
            "udp_check": _CHECK % "udp",
            "ping_check": _CHECK % "ping",
            "misc_check": _CHECK % "script",
            "connect_timeout": "`timeout`",
            "connect_ip": "`address`",
            "connect_port": "`port`",
            "bindto": "`source`",
            "retry": "`fall`, which counts the first failure too",
            "nb_get_retry": "`fall`, which counts the first failure too",
            "delay_before_retry": "`fast_interval`",
            "misc_path": "`command`, a list",
            "misc_timeout": "`timeout`",
            "virtualhost": "`host`",
            "url": "`path`, `status` and `body` of the check",
            "status_code": "`status`",
            "regex": "`body`",
            "helo_name": "`helo`",
            "enable_sni": "done wherever there is a name: `host`, or `tls = { server_name = ... }`",
        },
    }
)
"""Theirs -> ours, by what it is about."""

WORDS: Mapping[str, str] = MappingProxyType(
    {k: v for section in SECTIONS.values() for k, v in section.items()}
)


def hint(word: str) -> str:
    """What a word of keepalived's is here; empty for any other."""
    here = WORDS.get(word.lower()) if len(word) <= 64 else None
    return f"that is keepalived's word; here: {here}" if here else ""


def is_its_file(line: str) -> bool:
    """Whether a line that is no TOML is one of keepalived.conf."""
    words = line.split(maxsplit=1)
    return bool(words) and words[0].lower() in WORDS
