"""Tests of `lvsha.realserver.persist`: the files that outlive a reboot."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from checks.audit import Preparation
from checks.audit.steps import AddAddress, AddLink, SetSysctl, Step
from lvsha.errors import StateError
from lvsha.realserver import file, persist
from lvsha.realserver.persist import ENABLED, NETWORK, OURS, SYSCTL, UNIT, WANTED, contents, unit, write

ROOT = Path(__file__).parents[3]
TUN = Preparation("tun", ("192.0.2.100",), local="10.0.1.11")
STEPS: list[Step] = [
    AddLink("lvsha-ipip", "ipip", "10.0.1.11", 1480),
    SetSysctl("all", "arp_ignore", 1, 0),
    SetSysctl("lvsha-ipip", "rp_filter", 2, 1),
    SetSysctl("eth0.5", "arp_ignore", 1, 4),
    AddAddress("192.0.2.100", "lvsha-ipip"),
]


def test_the_settings() -> None:
    """What sysctl(8) reads at boot, devices of ours included: udev applies it when one appears."""
    assert contents(TUN, STEPS, networkd=False)[SYSCTL].splitlines() == [
        OURS,
        "net.ipv4.conf.all.arp_ignore = 1",
        "net.ipv4.conf.lvsha-ipip.rp_filter = 2",
        "net/ipv4/conf/eth0.5/arp_ignore = 1",
    ]


def test_networkd_lets_our_devices_be() -> None:
    """Where it runs, a file keeps a catch-all of the operator's from taking the address away."""
    assert NETWORK not in contents(TUN, STEPS, networkd=False)
    assert contents(TUN, STEPS, networkd=True)[NETWORK] == (
        f"{OURS}\n[Match]\nName=lvsha-ipip\n\n[Link]\nUnmanaged=yes\n"
    )


def test_the_unit_is_the_one_in_the_repository() -> None:
    """systemd/lvsha-realserver.service is what the command would write for /opt/lvsha."""
    shipped = (ROOT / "systemd" / "lvsha-realserver.service").read_text()
    assert shipped == unit("/opt/lvsha/bin/lvsha-cli")


def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    """Its own verifier has nothing to say about it."""
    path = tmp_path / "lvsha-realserver.service"
    path.write_text(unit("/bin/true"))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(path)], capture_output=True, text=True, check=False
    )
    said = [line for line in done.stderr.splitlines() if "lvsha" in line]
    assert said == []


def test_written_and_removed(tmp_path: Path) -> None:
    """Everything is there, readable for all who must read it; and gone again, with nothing else."""
    (tmp_path / "etc/sysctl.d").mkdir(parents=True)
    (tmp_path / "etc/sysctl.d/99-mine.conf").write_text("x")
    files = write(tmp_path, TUN, STEPS)
    assert set(files) == {str(path) for path in (WANTED, SYSCTL, UNIT, ENABLED)}
    assert file.read(tmp_path / WANTED) == TUN
    assert (tmp_path / ENABLED).readlink() == Path("/") / UNIT
    assert (tmp_path / UNIT).stat().st_mode & 0o777 == 0o644
    persist.remove(tmp_path, files)
    assert [path.name for path in tmp_path.rglob("*") if not path.is_dir()] == ["99-mine.conf"]


def test_written_again(tmp_path: Path) -> None:
    """A second set-up replaces the files, and removes one that it has no use for."""
    write(tmp_path, TUN, STEPS)
    files = write(tmp_path, Preparation("dr", ("192.0.2.101",)), [AddAddress("192.0.2.101", "lo")])
    assert str(SYSCTL) not in files
    assert not (tmp_path / SYSCTL).exists()
    assert file.read(tmp_path / WANTED).mode == "dr"


@pytest.mark.parametrize("path", [WANTED, SYSCTL, UNIT], ids=str)
def test_files_of_others(tmp_path: Path, path: Path) -> None:
    """A file of that name that lvsha did not write is neither replaced nor removed; nothing is written."""
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_text("mine\n")
    with pytest.raises(StateError, match="is not lvsha's"):
        write(tmp_path, TUN, STEPS)
    persist.remove(tmp_path, persist.ALL)
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == [path.name]


def test_a_link_in_place_of_a_file(tmp_path: Path) -> None:
    """A symbolic link is not followed to what it leads to."""
    (tmp_path / "precious").write_text(f"{OURS}\nprecious")
    (tmp_path / SYSCTL).parent.mkdir(parents=True)
    (tmp_path / SYSCTL).symlink_to(tmp_path / "precious")
    with pytest.raises(StateError, match="is not lvsha's"):
        write(tmp_path, TUN, STEPS)
    persist.remove(tmp_path, persist.ALL)
    assert (tmp_path / "precious").exists()
