"""Reading one HTTP response within bounds; no I/O.

llhttp parses; this decides how much of what a server sends is worth having. Bytes go in by
`feed`, the end of the stream by `end`; when `done`, nothing more need be read. Whatever a server
sends costs no more memory than the head's and the body's limits, and no more reading than
`_FRAMING` times that.
"""

from __future__ import annotations

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from checks.base import ProbeError, quote

_FRAMING = 8  # a body in chunks of one byte is six times its size on the wire


class Response:
    """One final response: status, headers, and the body up to its limit."""

    def __init__(self, *, method: str, max_head: int, max_body: int) -> None:
        self.status = 0
        self.headers: list[tuple[str, str]] = []
        self.body = bytearray()
        self.cut = False
        """The body is longer than its limit."""
        self.done = False
        self._bodiless = method == "HEAD"
        self._max_head = max_head
        self._max_body = max_body
        self._head_done = False
        self._head_size = 0
        self._size = 0
        self._first = b""
        self._parser = HttpResponseParser(self)

    def feed(self, data: bytes) -> None:
        """Take bytes that arrived. Raises ProbeError where they are no HTTP, or too much of it."""
        self._first = self._first or data[:64]
        self._size += len(data)
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade:
            self.done = True
        except HttpParserError as error:
            if not self.done:
                raise ProbeError(f"not HTTP ({error}): {quote(self._first)}") from error
        if not self.done:
            self._bound()

    def _bound(self) -> None:
        if not self._head_done:
            self._head_size = self._size
        if self._head_size > self._max_head:
            raise ProbeError(f"more than {self._max_head} bytes of headers")
        if self._size > self._max_head + self._max_body * _FRAMING:
            raise ProbeError(f"{self._size} bytes on the wire for {len(self.body)} bytes of body")

    def end(self) -> None:
        """The server closed. Raises ProbeError where something is missing."""
        if self.done:
            return
        if not self._head_done:
            what = f"after {self._size} bytes {quote(self._first)}" if self._size else "without an answer"
            raise ProbeError(f"closed {what}")
        length, chunked = self.header("content-length"), self.header("transfer-encoding")
        if length or chunked:
            whole = f" of {length}" if length else ", before the last chunk"
            raise ProbeError(f"answered {self.status}, body cut off after {len(self.body)} bytes{whole}")
        self.done = True

    @property
    def progress(self) -> str:
        """How far the response has come, for the detail of a failure."""
        if not self._size:
            return "request sent, waiting for the answer"
        if not self._head_done:
            return f"in the headers after {self._size} bytes {quote(self._first)}"
        return f"answered {self.status}, in the body after {len(self.body)} bytes"

    def header(self, name: str) -> str:
        """The value of a header, by its name in lower case; empty where there is none."""
        return next((value for key, value in self.headers if key == name), "")

    # What llhttp calls. A second response behind the first is no business of ours.

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header line, or a trailer."""
        if not self._head_done:
            self.headers.append((name.decode("latin-1").lower(), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        """The head is whole."""
        if self.done:
            return
        self.status = self._parser.get_status_code()
        self._head_done = True
        self._head_size = 0
        self.done = self._bodiless and not self._interim

    def on_body(self, data: bytes) -> None:
        """A piece of the body, taken out of its chunks."""
        if self.done:
            return
        room = self._max_body - len(self.body)
        self.body += data[:room]
        self.cut = self.done = len(data) > room

    def on_message_complete(self) -> None:
        """The end of one response: the final one, or an interim one before it."""
        if self.done:
            return
        if self._interim:
            self._head_done = False
            self.headers.clear()
        else:
            self.done = True

    @property
    def _interim(self) -> bool:
        # RFC 9110 section 15.2: any number of 1xx may come first. 101 is the exception: the last one.
        return self.status < 200 and self.status != 101
