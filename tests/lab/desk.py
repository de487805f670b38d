"""Configurations in a directory of their own, and what is said about them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lvsha.config import Config, Problem, Report, check, load


@dataclass(frozen=True)
class Desk:
    """Where a test writes its files."""

    directory: Path

    @property
    def main(self) -> Path:
        """The main file."""
        return self.directory / "lvsha.toml"

    def write(self, text: str | bytes, name: str = "lvsha.toml") -> Path:
        """A file that only its owner may read, as one with secrets should be."""
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        path.chmod(0o600)
        return path

    def report(self, text: str | bytes, node: str | None = None) -> Report:
        """What is said about the text."""
        return check(self.write(text), node)

    def load(self, text: str, node: str | None = None) -> Config:
        """The configuration of a text that is right."""
        return load(self.write(text), node)

    def error(self, text: str, node: str | None = None) -> Problem:
        """The one error of a text."""
        (problem,) = self.report(text, node).errors
        return problem

    def warnings(self, text: str, node: str | None = None) -> list[Problem]:
        """The warnings about a text that has no error."""
        report = self.report(text, node)
        assert report.errors == ()
        return list(report.warnings)

    def warning(self, text: str, node: str | None = None) -> Problem:
        """The one warning about a text that has no error."""
        (problem,) = self.warnings(text, node)
        return problem
