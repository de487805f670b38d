"""Print the script: `python -m checks.audit > /usr/local/sbin/lvsha-audit`.

As the forced command of a key it lets a director look, and do nothing else.
"""

from __future__ import annotations

from checks.audit.script import SCRIPT

print(SCRIPT.lstrip(), end="")
