"""Running a check by hand."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys

import pytest

from checks.__main__ import main
from tests.lab.targets import Pki, Serve, Servers, by_command


async def command(*arguments: str) -> tuple[int | None, str, str]:
    """Exit status, output and complaints of the command."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "checks", *arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def ok(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Any request is answered well."""
    head = await reader.readuntil(b"\r\n\r\n")
    body = head.split(b"\r\n")[0] + b" " + b",".join(sorted(head.split(b"\r\n")[1:]))
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))


@by_command
async def test_good(serve: Serve) -> None:
    """A good target is 0, and one line."""
    port = await serve(ok)
    status, out, err = await command("http", f"127.0.0.1:{port}", "--path", "/x", "--status", "200", "204")
    assert (status, err) == (0, "")
    assert out.startswith("ok ")
    assert f" ms  GET http://127.0.0.1:{port}/x answered 200, " in out


@by_command
async def test_bad(closed_port: int) -> None:
    """A bad target is 1, for each of several probes a line."""
    arguments = ("tcp", f"127.0.0.1:{closed_port}", "--repeat", "3", "--interval", "0.01")
    status, out, err = await command(*arguments)
    assert (status, err) == (1, "")
    assert out.count("FAILED ") == out.count("refused (RST: nothing listens there)") == 3


@by_command
async def test_nested_settings(servers: Servers, pki: Pki) -> None:
    """The settings within settings have options too."""
    port = await servers.serve(ok, context=pki.server(pki.good))
    target = f"127.0.0.1:{port}"
    authority = pki.authority
    assert (await command("https", target, "--tls-ca", authority))[0] == 0
    assert (await command("https", target))[0] == 1
    assert (await command("https", target, "--no-tls-verify"))[0] == 0
    assert (await command("http", target, "--tls", "--timeout", "2"))[0] == 1


@by_command
async def test_headers(serve: Serve) -> None:
    """Pairs are given as NAME=VALUE, as often as wanted."""
    port = await serve(ok)
    body = "X-A: 1,X-B: 2=3"
    arguments = ("--headers", "X-A=1", "--headers", "X-B=2=3", "--body", body)
    assert (await command("http", f"127.0.0.1:{port}", *arguments))[0] == 0


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["tcp", "127.0.0.1"], "'127.0.0.1' needs a port, such as 127.0.0.1:80"),
        (["tcp", "127.0.0.1:x"], "needs a port"),
        (["tcp", "127.0.0.1:65536"], "needs a port"),
        (["tcp", "::1"], "needs a port"),
        (["tcp", "localhost:80"], "'localhost:80' is not ADDRESS:PORT"),
        (["http", "127.0.0.1", "--path", "x"], "path: 'x' must begin with /"),
        (["ssh", "127.0.0.1"], "user: missing"),
    ],
)
def test_bad_arguments(capsys: pytest.CaptureFixture[str], arguments: list[str], complaint: str) -> None:
    """Settings that make no sense are 2, with the reason."""
    assert main(arguments) == 2
    assert complaint in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [[], ["finger"], ["tcp"], ["tcp", "127.0.0.1:1", "--nosuch"], ["http", "127.0.0.1", "--headers", "x"]],
)
def test_usage(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    """What cannot be understood is 2, with the usage."""
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert "usage: python -m checks" in capsys.readouterr().err


@pytest.mark.parametrize("target", ["[::1]:0", "::1"])
def test_ipv6(capsys: pytest.CaptureFixture[str], target: str) -> None:
    """An IPv6 target is in brackets where it has a port."""
    assert main(["ping", target]) == 0
    assert "ping ::1 answered" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["tcp", "http", "https", "ssh", "dns", "smtp", "udp", "ping", "script"])
def test_help(capsys: pytest.CaptureFixture[str], kind: str) -> None:
    """Every kind tells its options, in the words of its fields."""
    with pytest.raises(SystemExit, match="0"):
        main([kind, "--help"])
    out = capsys.readouterr().out
    assert "settings of this kind" in out
    assert "ADDRESS[:PORT]" in out


@by_command
async def test_interrupted() -> None:
    """Ctrl-C ends it without a traceback."""
    arguments = ("-m", "checks", "ping", "127.0.0.1", "--repeat", "0")
    pipe = subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=pipe, stderr=pipe)
    assert process.stdout
    await process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, err = await process.communicate()
    assert (process.returncode, err) == (130, b"")
