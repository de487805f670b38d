"""Debian's own sshd on a node of a test network, with keys made for the occasion.

    sshd = await start_sshd(net["rs1"], tmp_path)
    client: user `root`, private key `sshd.user_key`, expecting the host key `sshd.host_key`

A second host key (`other_host_key`) is made but not offered: expecting it is how to meet a wrong one.
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.lab.network import Node
from tests.lab.process import Process, spawn

_CONFIG = """\
Port {port}
HostKey {directory}/host
AuthorizedKeysFile {directory}/user.pub
PidFile none
UsePAM no
StrictModes no
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UseDNS no
Subsystem sftp internal-sftp
{options}
"""


@dataclass(frozen=True, slots=True)
class Sshd:
    """A running sshd."""

    process: Process
    port: int
    user_key: Path
    """The private key that it lets in as root."""
    host_key: str
    """Its public host key, as in a known_hosts file after the names."""
    other_host_key: str
    """A public host key that it does not have."""


async def start_sshd(node: Node, directory: Path, *, port: int = 22, options: str = "") -> Sshd:
    """Start sshd on a node; `options` are further lines of sshd_config. It listens when this returns."""
    config = _prepare(directory, port, options)
    program = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin") or "sshd"
    process = await spawn(node, program, "-D", "-e", "-f", str(config))
    await process.line("Server listening on")
    host, other = (_public_key(directory / f"{name}.pub") for name in ("host", "other"))
    return Sshd(process, port, directory / "user", host, other)


def _prepare(directory: Path, port: int, options: str) -> Path:
    for name in ("host", "other", "user"):
        argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(directory / name)]
        subprocess.run(argv, check=True, timeout=30)
    config = directory / "sshd_config"
    config.write_text(_CONFIG.format(port=port, directory=directory, options=options))
    # The empty directory of its unprivileged part; Debian's service makes it when it starts.
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    return config


def _public_key(path: Path) -> str:
    return path.read_text().rsplit(" ", 1)[0]
