"""Tests of `lvsha.config.sources`."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from lvsha.config import ConfigError, check, load
from lvsha.config.sources import MAX_BYTES, read
from tests.lab.desk import Desk

SERVER = '[servers.{name}]\naddress = "10.0.0.11"\n'


def server(name: str) -> str:
    """A table that is right by itself."""
    return SERVER.format(name=name)


def test_tables_of_all_files_merge(desk: Desk) -> None:
    """One section may be spread over many files, and each file is told."""
    desk.write(server("b"), "conf.d/b.toml")
    desk.write(server("a"), "conf.d/a.toml")
    desk.write("[ipvs]\nlook = 10\n", "conf.d/c.toml")
    config = desk.load('include = ["conf.d/*.toml"]\n[ipvs]\nunknown_services = "remove"\n' + server("main"))
    assert list(config.servers) == ["main", "a", "b"]
    assert (config.ipvs.look, config.ipvs.unknown_services) == (10, "remove")
    assert [path.name for path in config.files] == ["lvsha.toml", "a.toml", "b.toml", "c.toml"]


def test_includes_are_relative_to_the_file_that_has_them(desk: Desk) -> None:
    """A file below may include what lies beside it."""
    desk.write('include = ["inner.toml"]\n', "conf.d/outer.toml")
    desk.write(server("inner"), "conf.d/inner.toml")
    assert list(desk.load('include = ["conf.d/outer.toml"]').servers) == ["inner"]


def test_absolute_include(desk: Desk) -> None:
    """A pattern may name any directory."""
    path = desk.write(server("far"), "far/x.toml")
    assert list(desk.load(f'include = ["{path.parent}/*.toml"]').servers) == ["far"]


def test_directory_with_pattern_characters(tmp_path: Path) -> None:
    """Only what the file says is a pattern, not where the file lies."""
    desk = Desk(tmp_path / "a[b]*")
    desk.write(server("one"), "conf.d/x.toml")
    assert list(desk.load('include = ["conf.d/*.toml"]').servers) == ["one"]


@pytest.mark.parametrize(
    ("main", "other", "path"),
    [
        (server("one"), server("one"), "servers.one"),
        ("[ipvs]\nlook = 1\n", "[ipvs]\nlook = 1\n", "ipvs.look"),
        ("speaker = 1\n", "speaker = 2\n", "speaker"),
    ],
)
def test_a_name_defined_twice(desk: Desk, main: str, other: str, path: str) -> None:
    """The second place is the problem, and it tells the first; the order of files decides nothing."""
    second = desk.write("\n" + other, "conf.d/x.toml")
    problem = next(p for p in desk.report('include = ["conf.d/x.toml"]\n' + main).errors if p.file == second)
    assert (problem.path, problem.line) == (path, 3 if "[ipvs]" in other else 2)
    assert problem.message.startswith(f"is defined twice, first at {desk.main}:")
    assert problem.message.endswith(":3" if "[ipvs]" in main else ":2")


def test_a_problem_of_an_included_file(desk: Desk) -> None:
    """A problem is told with the file it stands in."""
    path = desk.write('[servers.x]\n\naddress = "nowhere"\n', "conf.d/x.toml")
    problem = desk.error('include = ["conf.d/*.toml"]')
    assert (problem.file, problem.line, problem.path) == (path, 3, "servers.x.address")


def test_a_file_that_includes_itself(desk: Desk) -> None:
    """A circle is refused where it closes, and the way round is told."""
    desk.write('include = ["../lvsha.toml"]', "conf.d/x.toml")
    problem = desk.error('include = ["conf.d/x.toml"]')
    assert problem.file.name == "x.toml"
    assert problem.line == 1
    assert problem.message.count(str(desk.main)) == 2


def test_a_circle_through_a_link(desk: Desk) -> None:
    """Another name for the same file does not hide the circle."""
    (desk.directory / "again.toml").symlink_to("lvsha.toml")
    assert "includes itself" in desk.error('include = ["again.toml"]').message


def test_a_file_included_twice(desk: Desk) -> None:
    """One complaint about the file, not one about each name in it."""
    desk.write(server("one") + server("two"), "conf.d/x.toml")
    problem = desk.error('include = ["conf.d/x.toml", "conf.d/*.toml"]')
    assert (problem.path, problem.line) == ("include[1]", 1)
    assert "is included twice" in problem.message


def test_too_many_files(desk: Desk) -> None:
    """A pattern that catches thousands of files is a mistake, and reading ends."""
    for number in range(1001):
        desk.write("", f"conf.d/{number}.toml")
    problem = desk.report('include = ["conf.d/*.toml"]').errors[0]
    assert "more than 1000 files are included" in problem.message


def test_a_pattern_may_match_nothing(desk: Desk) -> None:
    """An empty directory of further files is no mistake; a named file that is not there is one."""
    assert desk.report('include = ["conf.d/*.toml"]').errors == ()
    problem = desk.error('\ninclude = ["conf.d/x.toml"]')
    assert (problem.file, problem.line, problem.path) == (desk.main, 2, "include[0]")
    assert problem.message == f"{desk.directory / 'conf.d/x.toml'} there is no such file"


@pytest.mark.parametrize("pattern", ["**/*.toml", "", "a\\u0000b"])
def test_patterns_that_are_none(desk: Desk, pattern: str) -> None:
    """A pattern that would walk the whole disk is refused like one that cannot match."""
    assert "is not a pattern of files" in desk.error(f'include = ["{pattern}"]').message


@pytest.mark.parametrize("value", ['"conf.d/*.toml"', "[1]", "{}"])
def test_include_of_the_wrong_type(desk: Desk, value: str) -> None:
    """`include` is a list of texts."""
    problem = desk.error(f"include = {value}")
    assert (problem.path, problem.line) == ("include", 1)
    assert "must be a list of patterns" in problem.message


def test_all_files_with_wrong_syntax_are_told(desk: Desk) -> None:
    """One file that cannot be parsed hides nothing of another."""
    one = desk.write("a = \n", "conf.d/1.toml")
    two = desk.write("\n\n[a\n", "conf.d/2.toml")
    problems = desk.report('include = ["conf.d/*.toml"]\nipvs = 3').errors
    assert [(p.file, p.line) for p in problems] == [(one, 1), (two, 3), (desk.main, 2)]


SYNTAX = [
    ("a = 1\nb = c\n", 2, "invalid value", "texts, addresses and durations stand in quotes"),
    ("[a]\n[a]\n", 2, "cannot declare", ""),
    ("a = 1\na = 2\n", 2, "cannot overwrite a value", "a key or table may be defined once"),
    ("a = '''\n\n", 2, "expected", ""),
    ("\n\ufeffa = 1", 2, "invalid statement", ""),
]


@pytest.mark.parametrize(("text", "line", "message", "hint"), SYNTAX)
def test_wrong_syntax(desk: Desk, text: str, line: int, message: str, hint: str) -> None:
    """TOML's own message, the line, and what to do where that is clear."""
    problem = desk.error(text)
    assert problem.line == line
    assert problem.message.startswith("is not TOML: ")
    assert message in problem.message
    assert hint in problem.hint


def test_byte_order_mark(desk: Desk) -> None:
    """What an editor of another system left there is named, not called an invalid statement."""
    assert "byte order mark" in desk.error(b"\xef\xbb\xbfa = 1").message


def test_not_utf8(desk: Desk) -> None:
    """The line and the byte are told."""
    problem = desk.error(b"# fine\n# L\xf6sung\n")
    assert (problem.line, problem.message) == (2, "is not UTF-8: byte 0xf6")


@pytest.mark.parametrize(
    "text", ["a = " + "[" * 5000, "a = " + "[" * 3000 + "]" * 3000, "a = " + "{b=" * 2000]
)
def test_nested_too_deeply(desk: Desk, text: str) -> None:
    """A text made to exhaust the stack is a text that is wrong."""
    assert "nested too deeply" in desk.error(text).message


def test_number_without_end(desk: Desk) -> None:
    """The interpreter refuses numbers of thousands of digits with an error of another kind."""
    assert desk.error("a = " + "9" * 5000).message.startswith("is not TOML: ")


def test_missing_file(tmp_path: Path) -> None:
    """There is no line to tell, and no traceback."""
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "none.toml")
    assert str(caught.value) == f"{tmp_path}/none.toml: there is no such file; check the path"


def unreadable_directory(path: Path) -> None:
    """A directory."""
    path.mkdir()


def unreadable_pipe(path: Path) -> None:
    """A pipe that nobody writes to: opening it in the usual way would never end."""
    os.mkfifo(path)


def unreadable_device(path: Path) -> None:
    """A device without end."""
    path.symlink_to("/dev/zero")


def unreadable_loop(path: Path) -> None:
    """A link to itself."""
    path.symlink_to(path.name)


def unreadable_link(path: Path) -> None:
    """A link to nothing."""
    path.symlink_to("nowhere")


def unreadable_size(path: Path) -> None:
    """A file beyond any configuration's size, without taking the room on disk."""
    with path.open("wb") as file:
        file.truncate(MAX_BYTES + 1)


UNREADABLE = [
    (unreadable_directory, "is a directory"),
    (unreadable_pipe, "is not a regular file"),
    (unreadable_device, "is not a regular file"),
    (unreadable_loop, "is a symbolic link that leads to itself"),
    (unreadable_link, "there is no such file"),
    (unreadable_size, f"is larger than {MAX_BYTES} bytes"),
]


@pytest.mark.parametrize(("make", "message"), UNREADABLE, ids=[case[0].__name__ for case in UNREADABLE])
def test_what_is_no_file_of_text(desk: Desk, make: object, message: str) -> None:
    """Whatever lies at the path, the answer comes at once and says what it is."""
    assert callable(make)
    make(desk.main)
    (problem,) = check(desk.main).errors
    assert problem.message == message


def test_file_that_may_not_be_read(desk: Desk) -> None:
    """The right to read is missing: the message says whose."""
    path = desk.write("")
    path.chmod(0)
    desk.directory.chmod(0o711)
    child = os.fork()
    if not child:
        os.seteuid(65534)
        (problem,) = read(path).problems
        os._exit(
            0 if "may not be read" in problem.message and "user that lvsha runs as" in problem.hint else 1
        )
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_path_below_a_file(desk: Desk) -> None:
    """A path through a file is told from one that is missing."""
    desk.write("")
    (problem,) = check(desk.main / "x.toml").errors
    assert problem.message == "lies below something that is no directory"


@pytest.mark.parametrize("name", ["a\0b", "x" * 300])
def test_path_that_is_none(desk: Desk, name: str) -> None:
    """Even a path that the kernel would not take is told like any other."""
    (problem,) = check(desk.directory / name).errors
    assert "path" in problem.message


SECRETS = [
    ('version = 2\nauth = { password = "12345678" }\n', True),
    ('auth = { keys = { 1 = "0123456789abcdef0123456789abcdef" } }\n', True),
    ('auth = { keys = { 1 = "file:/nowhere" } }\n', False),
    ("", False),
]


@pytest.mark.parametrize(("auth", "secret"), SECRETS)
def test_secrets_that_everybody_may_read(desk: Desk, auth: str, secret: bool) -> None:
    """A file with a password or key in it and open rights is told of; any other may be open."""
    path = desk.write(
        f'[vrrp.a]\ninterface = "eth0"\nvrid = 1\naddresses = ["192.0.2.1/24"]\n{auth}', "conf.d/a.toml"
    )
    main = desk.write('include = ["conf.d/*.toml"]')
    for mode, told in ((0o600, False), (0o644, secret)):
        path.chmod(mode)
        found = [p for p in check(main).warnings if "may be read by everybody" in p.message]
        assert [p.hint for p in found] == ([f"chmod o-r {path}"] if told else [])
    assert stat.S_IMODE(main.stat().st_mode) == 0o600
