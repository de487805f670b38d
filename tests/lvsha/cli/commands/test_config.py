"""The configuration file, checked without the daemon."""

from __future__ import annotations

import json
from pathlib import Path

from tests.lvsha.cli.conftest import Command

GOOD = """
[services.web]
address = "192.0.2.100"
port = 80
protocol = "tcp"
mode = "nat"
check = { kind = "tcp" }
[[services.web.servers]]
name = "rs1"
address = "10.0.0.11"
"""


def written(tmp_path: Path, text: str) -> str:
    """A configuration file."""
    path = tmp_path / "lvsha.toml"
    path.write_text(text)
    path.chmod(0o600)
    return str(path)


def test_good(cli: Command, tmp_path: Path) -> None:
    """A file without problems is status 0."""
    path = written(tmp_path, GOOD)
    done = cli("config", "check", path)
    assert (done.status, done.err) == (0, "")
    assert done.out.endswith(f"{path}: no problems\n")


def test_every_problem(cli: Command, tmp_path: Path) -> None:
    """Every problem is told with its line, and the status is 2."""
    path = written(tmp_path, GOOD.replace("port = 80", "prot = 80").replace('"nat"', '"nut"'))
    done = cli("config", "check", path)
    assert done.status == 2
    assert f"error: {path}:4: services.web.prot" in done.out
    assert f"error: {path}:6: services.web.mode" in done.out
    assert "errors," in done.out


def test_problems_in_json(cli: Command, tmp_path: Path) -> None:
    """For an editor: file, line and path of each."""
    path = written(tmp_path, GOOD.replace('"nat"', '"nut"'))
    done = cli("config", "check", path, "--json")
    assert done.status == 2
    [error] = json.loads(done.out)["errors"]
    assert (error["file"], error["line"], error["path"]) == (path, 6, "services.web.mode")


def test_no_file(cli: Command, tmp_path: Path) -> None:
    """A file that is not there is a problem like any other."""
    done = cli("config", "check", str(tmp_path / "nothing.toml"))
    assert done.status == 2
    assert "nothing.toml" in done.out


def test_schema(cli: Command) -> None:
    """The schema is JSON that knows the services."""
    assert "services" in json.loads(cli("config", "schema").out)["properties"]


def test_show(cli: Command) -> None:
    """What the daemon has in force."""
    assert json.loads(cli("config", "show").out)["node"] == {"name": "lb1"}
