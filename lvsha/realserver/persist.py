"""The files by which a set-up outlives a reboot.

    /etc/lvsha/realserver.toml                        what is wanted
    /etc/sysctl.d/90-lvsha-realserver.conf            the server keeps still from its first moment on, and
                                                      also after somebody has applied all sysctls again
    /etc/systemd/system/lvsha-realserver.service      sets up again at boot, from the first file
    .../multi-user.target.wants/...                   what `systemctl enable` would make
    /etc/systemd/network/05-lvsha-realserver.network  has systemd-networkd, where it runs, let our devices be

The unit does what the command does, so what comes after a reboot is what was seen before it. Each file is
replaced whole, and one of that name that lvsha did not write is left alone.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from checks.audit import Preparation, Step
from checks.audit.steps import AddLink, SetSysctl
from lvsha.errors import StateError
from lvsha.realserver import file
from lvsha.store import write_atomic
from lvsha.store.file import read_plain

OURS = "# Written by `lvsha-cli realserver setup`; `lvsha-cli realserver undo` removes it."

WANTED = Path("etc/lvsha/realserver.toml")
SYSCTL = Path("etc/sysctl.d/90-lvsha-realserver.conf")
UNIT = Path("etc/systemd/system/lvsha-realserver.service")
ENABLED = Path("etc/systemd/system/multi-user.target.wants/lvsha-realserver.service")
NETWORK = Path("etc/systemd/network/05-lvsha-realserver.network")

ALL = tuple(str(path) for path in (WANTED, SYSCTL, UNIT, ENABLED, NETWORK))

_UNIT = """\
[Unit]
Description=lvsha: real server of direct routing or a tunnel
After=network-online.target systemd-sysctl.service systemd-modules-load.service
Wants=network-online.target
ConditionPathExists=/etc/lvsha/realserver.toml

[Service]
Type=oneshot
# What is set up stays when this stops: `lvsha-cli realserver undo` takes it back.
RemainAfterExit=yes
ExecStart={command} realserver setup --from /etc/lvsha/realserver.toml --no-persist
StateDirectory=lvsha
StateDirectoryMode=0700
UMask=0077

CapabilityBoundingSet=CAP_NET_ADMIN CAP_SYS_MODULE
NoNewPrivileges=true
ProtectHome=true
ProtectSystem=strict
# /proc/sys/net is written, and a module may have to be loaded.
ProtectKernelTunables=false
ProtectKernelModules=false
ProtectControlGroups=true
ProtectClock=true
PrivateTmp=true
RestrictSUIDSGID=true
LockPersonality=true
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallArchitectures=native

[Install]
WantedBy=multi-user.target
"""


def unit(command: str) -> str:
    """The unit that runs this `lvsha-cli`."""
    return _UNIT.format(command=command)


def contents(wanted: Preparation, steps: Iterable[Step], *, networkd: bool) -> dict[Path, str]:
    """The files by their paths below the root. `steps`: everything that was done."""
    steps = list(steps)
    settings = [f"{step.name} = {step.value}" for step in steps if isinstance(step, SetSysctl)]
    devices = [step.name for step in steps if isinstance(step, AddLink)]
    found = {
        WANTED: file.text(wanted, OURS),
        UNIT: f"{OURS}\n{unit(str(Path(sys.prefix) / 'bin' / 'lvsha-cli'))}",
    }
    if settings:
        found[SYSCTL] = "\n".join((OURS, *settings, ""))
    if devices and networkd:
        match = f"[Match]\nName={' '.join(devices)}\n"
        found[NETWORK] = f"{OURS}\n{match}\n[Link]\nUnmanaged=yes\n"
    return found


def networkd(root: Path = Path("/")) -> bool:
    """Whether systemd-networkd runs: it keeps its state there."""
    return (root / "run/systemd/netif/state").exists()


def write(root: Path, wanted: Preparation, steps: Iterable[Step]) -> tuple[str, ...]:
    """Write the files, remove those of an earlier set-up that are of no use now; the paths there are.

    Raises StateError, before anything is written, where a file is somebody else's.
    """
    files = contents(wanted, steps, networkd=networkd(root))
    for path in files:
        _check_ours(root / path)
    for path, text in files.items():
        (root / path).parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        write_atomic(root / path, text.encode(), mode=0o644)
    remove(root, [str(path) for path in (SYSCTL, NETWORK) if path not in files])
    _enable(root)
    _reload(root)
    return (*map(str, files), str(ENABLED))


def remove(root: Path, files: Iterable[str]) -> None:
    """Remove files that were written; one that is somebody else's by now stays. Raises StateError."""
    files = list(files)
    for name in files:
        path = root / name
        try:
            if path.is_symlink() if name == str(ENABLED) else _is_ours(path):
                path.unlink(missing_ok=True)
        except OSError as error:
            raise StateError(f"{path} cannot be removed: {error.strerror}") from error
    if str(UNIT) in files:
        _reload(root)


def check(root: Path) -> None:
    """Raises StateError where a file that is to be written is somebody else's."""
    for path in (WANTED, SYSCTL, UNIT, NETWORK):
        _check_ours(root / path)


def _check_ours(path: Path) -> None:
    if path.exists() and not _is_ours(path):
        raise StateError(f"{path} is not lvsha's: move it away, or use --no-persist")


def _is_ours(path: Path) -> bool:
    try:
        data = read_plain(path)
    except StateError:
        return False
    return data is not None and data.startswith(OURS.encode())


def _enable(root: Path) -> None:
    link = root / ENABLED
    try:
        link.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(f"/{UNIT}")
    except OSError as error:
        raise StateError(f"{link} cannot be made: {error.strerror}") from error


def _reload(root: Path) -> None:
    """Have a systemd that runs see what has changed."""
    if root == Path("/") and Path("/run/systemd/system").exists():
        subprocess.run(["systemctl", "daemon-reload"], check=False, timeout=30, capture_output=True)
