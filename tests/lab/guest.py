"""A guest kernel that runs one script over this machine's own files, in bounded time.

User-Mode Linux is a process that is a kernel: it boots in two seconds, sees the host's files through hostfs
(own init: `guest-init`), keeps what it writes in memory, and shares one directory read-write with the host.
QEMU emulates a machine for Debian's stock kernel with the same arrangement made by virtme-ng over 9p: ten
times slower, but with nf_tables and two processors.

The shared directory holds `run` (the script), `console` (what the guest printed) and whatever the script
hands back.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections import deque
from pathlib import Path

from tests.lab import kernel
from tests.lab.kernel import Kind

HERE = Path(__file__).parent

_SCRIPT = """\
exec </dev/null
mkdir -p /run/sshd
ip link set lo up
modprobe -a ipv6 ip_vs nf_tables 2>/dev/null
{exports}
cd {directory} && exec {command}
"""


# A guest is many processes. In a PID namespace of their own they all end with the first, and that one ends
# with this process, even if it is killed.
_LEASH = ["setpriv", "--pdeathsig", "KILL", "--", "unshare", "--pid", "--fork", "--kill-child=KILL", "--"]


class Guest:
    """One guest machine, from `start` to `stop`."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.share = Path(tempfile.mkdtemp(prefix="lvsha-lab-"))
        self.console = self.share / "console"
        self._process: subprocess.Popen[bytes] | None = None
        self.pidfd = -1

    def start(self, command: list[str], *, directory: Path, environment: dict[str, str]) -> None:
        """Boot and run the command in the directory. Raises OSError when there is no such guest."""
        exports = "\n".join(f"export {name}={shlex.quote(value)}" for name, value in environment.items())
        script = _SCRIPT.format(
            exports=exports, directory=shlex.quote(str(directory)), command=shlex.join(command)
        )
        (self.share / "run").write_text(script)
        argv, extra = _uml(self.share) if self.kind is Kind.UML else _qemu(self.share)
        with self.console.open("wb") as console:
            self._process = subprocess.Popen(
                [*_LEASH, *argv],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                env=os.environ | extra,
                cwd=self.share,
                # An interrupt from the keyboard is for the tests.
                start_new_session=True,
            )
        self.pidfd = os.pidfd_open(self._process.pid)

    @property
    def alive(self) -> bool:
        """Whether it has been started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def tail(self, lines: int = 60) -> str:
        """The last lines that the guest printed."""
        with self.console.open(errors="replace") as text:
            return "".join(deque(text, lines))

    def stop(self) -> None:
        """End the guest if it has not ended by itself, and remove the shared directory."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
            os.close(self.pidfd)
        shutil.rmtree(self.share, ignore_errors=True)


def _uml(share: Path) -> tuple[list[str], dict[str, str]]:
    argv = [kernel.uml(), "rootfstype=hostfs", "ro", f"init={HERE / 'guest-init'}"]
    argv += [f"ncpus={os.cpu_count()}", "seccomp=on", "mem=4G"] if kernel.own_uml() else ["mem=1G"]
    argv += ["con=null", "con0=null,fd:1", "quiet", "panic=-1", f"uml_dir={share}/", "umid=uml"]
    return [*argv, f"LVSHA_SHARE={share}"], {"LD_PRELOAD": str(_xstate())}


_EMULATED = ("--qemu-opts=-cpu Nehalem", "--append", "mitigations=off tsc=reliable clocksource=tsc")
"""What emulation is spared, a third of its work: the best processor that QEMU knows has page tables of five
levels and wide registers to save, no program here attacks another, and other clocks than the TSC are devices.
"""


def _qemu(share: Path) -> tuple[list[str], dict[str, str]]:
    program, image = kernel.vng(), kernel.qemu_kernel()
    assert program is not None
    assert image is not None
    # It emulates two processors, which are all that many a machine has.
    argv = ["nice", "-n", "5", program, "--disable-kvm", "--run", str(image), "--cpus", "2", "--memory", "2G"]
    argv += [*_EMULATED, f"--rwdir={share}", "--", "sh", str(share / "run")]
    # vng starts its sisters by name.
    return argv, {"PATH": f"{Path(program).parent}{os.pathsep}{os.environ['PATH']}"}


def _xstate() -> Path:
    """The library of `uml_xstate.c`, compiled once a version. Raises CalledProcessError with the compiler."""
    source = HERE / "uml_xstate.c"
    digest = hashlib.sha256(source.read_bytes()).hexdigest()[:16]
    library = Path(sys.prefix) / "cache" / f"uml_xstate-{digest}.so"
    if not library.exists():
        library.parent.mkdir(exist_ok=True)
        # Two sessions may compile at once: each writes its own file, and a rename is whole.
        fresh = library.with_suffix(f".{os.getpid()}")
        subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", str(fresh), str(source)], check=True)
        fresh.rename(library)
    return library
