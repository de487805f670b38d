"""What must outlive a restart, in files that are whole or not there.

A file is written beside its place, fsynced, renamed over it, and the directory is fsynced: whatever
happens, a reader finds the old content or the new. Around the content stands an envelope: what kind of
document it is, in which version of its form, and a checksum. What cannot be used (torn, foreign, from a
newer lvsha, unreadable) is never deleted nor overwritten: it is renamed to NAME.bad-1, -2 ... and the
caller is told in a StateError, to go on without it.
"""

from __future__ import annotations

from lvsha.store.document import read_document, write_document
from lvsha.store.file import sweep, write_atomic

__all__ = ["read_document", "sweep", "write_atomic", "write_document"]
