"""Which kernel a suite runs on.

    suite  needs                      natively when              else
    net    root, namespaces           by root                    -
    ipvs   and IPVS                   modprobe finds ip_vs       User-Mode Linux, QEMU
    nft    and IPVS with nf_tables    both are there             QEMU (User-Mode Linux has no nf_tables)

A suite that finds no kernel fails and says what to install: a skipped test is not a passed one. The
environment variable LVSHA_LAB_KERNEL (native, uml or qemu) takes the choice away. LVSHA_LAB_UML may name the
program of a User-Mode Linux of one's own, with as many processors as the host (`uml_smp.config`).
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

CHOICE = "LVSHA_LAB_KERNEL"
OWN_UML = "LVSHA_LAB_UML"


class Kind(StrEnum):
    """How a kernel is come by."""

    NATIVE = "native"
    UML = "uml"
    QEMU = "qemu"


TITLES = {Kind.NATIVE: "native Linux", Kind.UML: "User-Mode Linux", Kind.QEMU: "QEMU, Linux"}

_ADVICE = (
    "Use a machine whose kernel has the ip_vs module, or install a guest kernel with tests/lab/setup"
    " (Debian: user-mode-linux for ipvs; qemu-system-x86 and linux-image-amd64 for nft)."
)


class NoKernelError(Exception):
    """No kernel at hand can run the suite; the message says what to do."""


@dataclass(frozen=True, slots=True)
class AtHand:
    """What this machine offers."""

    root: bool
    ipvs: bool
    nftables: bool
    uml: bool
    qemu: bool


def look() -> AtHand:
    """Find out what this machine offers; loads ip_vs where it can."""
    root = os.geteuid() == 0
    ipvs = root and _succeeds("modprobe", "-q", "ip_vs") and Path("/proc/net/ip_vs").exists()
    return AtHand(
        root=root,
        ipvs=ipvs or Path("/proc/net/ip_vs").exists(),
        nftables=root and _succeeds("nft", "list", "tables"),
        uml=shutil.which(uml()) is not None,
        qemu=qemu_kernel() is not None and vng() is not None,
    )


def choose(suite: str, at_hand: AtHand, wanted: str | None) -> Kind:
    """The kernel for a suite (net, ipvs or nft); `wanted` is the operator's word, if any.

    Raises NoKernelError when there is none, or when the one wanted cannot do it.
    """
    if suite == "net":
        candidates = [Kind.NATIVE]
    elif wanted:
        candidates = [Kind(wanted)] if wanted in list(Kind) else []
    else:
        candidates = [Kind.NATIVE, Kind.UML, Kind.QEMU]
    for kind in candidates:
        if _able(suite, kind, at_hand):
            return kind
    if not at_hand.root:
        raise NoKernelError(f"The suite '{suite}' makes network namespaces: run it as root.")
    raise NoKernelError(f"No kernel for the suite '{suite}' ({CHOICE}={wanted or ''}; {at_hand}). {_ADVICE}")


def title(kind: Kind, release: str) -> str:
    """A kernel for the eye: `User-Mode Linux 6.1.176`."""
    return f"{TITLES[kind]} {release}"


def native_title() -> str:
    """The running kernel for the eye."""
    return title(Kind.NATIVE, platform.release())


def uml() -> str:
    """The program of User-Mode Linux: one's own, or Debian's."""
    return os.environ.get(OWN_UML, "linux.uml")


def own_uml() -> bool:
    """Whether it is one's own."""
    return OWN_UML in os.environ


def qemu_kernel() -> Path | None:
    """The newest generic Debian kernel in /boot; the cloud flavour lacks 9p, which the root comes over."""
    found = [path for path in Path("/boot").glob("vmlinuz-*-amd64") if "cloud" not in path.name]
    return max(found, key=lambda path: path.stat().st_mtime, default=None)


def vng() -> str | None:
    """virtme-ng's program: beside this Python, or in PATH."""
    return shutil.which("vng", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")


def _able(suite: str, kind: Kind, at_hand: AtHand) -> bool:
    if not at_hand.root:
        return False
    match kind:
        case Kind.NATIVE:
            return (suite == "net" or at_hand.ipvs) and (suite != "nft" or at_hand.nftables)
        case Kind.UML:
            return at_hand.uml and suite != "nft"
        case Kind.QEMU:
            return at_hand.qemu


def _succeeds(*argv: str) -> bool:
    try:
        return subprocess.run(argv, capture_output=True, check=False, timeout=30).returncode == 0
    except OSError:
        return False
