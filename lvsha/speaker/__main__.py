"""`python -m lvsha.speaker`: the speaker by itself, without the parent."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from lvsha.speaker.process import run


def main(arguments: list[str] | None = None) -> int:
    """Be the speaker; the exit status."""
    parser = argparse.ArgumentParser(prog="lvsha.speaker", description="lvsha's VRRP process.")
    parser.add_argument("--runtime", type=Path, required=True, metavar="DIR", help="its socket and state")
    return run(parser.parse_args(arguments).runtime)


if __name__ == "__main__":
    sys.exit(main())
