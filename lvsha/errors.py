"""The errors lvsha raises on purpose, split by whose fault they are.

Everything here is caught at a boundary and told to a person: the message says what was
tried, on which object, what came back, and what to do. Anything else that is raised is a
bug and ends the process loudly.
"""

from __future__ import annotations


class LvshaError(Exception):
    """The root of every error that lvsha raises on purpose."""


class InputError(LvshaError):
    """Something handed to lvsha from outside (a file, a packet, a call) is wrong."""


class KernelError(LvshaError):
    """The kernel refused a request, or lacks something that it needs."""


class StateError(LvshaError):
    """A file that lvsha keeps its own state in is torn, foreign or not writable."""


class UnavailableError(LvshaError):
    """Another process that is needed does not answer."""
