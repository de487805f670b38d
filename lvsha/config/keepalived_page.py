"""The page for whoever comes from keepalived.

`python -m lvsha.config.keepalived_page` writes it; `docs/keepalived.md` is that.
"""

from __future__ import annotations

from collections.abc import Iterator

from lvsha.config.keepalived import SECTIONS

_HEAD = """\
# Coming from keepalived

lvsha does not read a keepalived.conf, but whoever writes one of its words into a configuration is told the
one that is meant: `lvsha-cli config check` names it, with the line. This page has all of them.

A pair can be moved over one node at a time: [`conf/keepalived.toml`](../conf/keepalived.toml) is an instance
beside a keepalived that stays in service on the other machine, master or backup. Take the backup first; stop
and disable its keepalived, which would keep a second hand in the kernel's table.

What is different, whatever it is called:

- Both directors keep the whole IPVS table, and check, all the time. A failover moves addresses, nothing else.
- A server that is new waits for its first success.
- Addresses carry a lease: a director that is dead or frozen loses them.
- Both roles of connection sync run on both nodes; nothing is switched.
- A program of `notify` can be used as it is, and runs in order, never beside itself: see
  [configuration.md](configuration.md#programs-that-are-told-of-roles).

This page is written by `python -m lvsha.config.keepalived_page`; a test compares the two.
"""


def page() -> str:
    """The whole page in Markdown."""
    return "\n".join([_HEAD, *_tables()])


def _tables() -> Iterator[str]:
    for title, section in SECTIONS.items():
        rows = "\n".join(f"| `{_spelled(word)}` | {here} |" for word, here in section.items())
        yield f"## {title}\n\n| keepalived | lvsha |\n|---|---|\n{rows}\n"


def _spelled(word: str) -> str:
    """As keepalived.conf has it: checks stand in capitals."""
    return word.upper() if word.endswith(("_check", "_get")) else word


if __name__ == "__main__":
    print(page(), end="")  # noqa: T201 -- the page itself
