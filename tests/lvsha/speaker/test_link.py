"""The director's end, against a speaker's end that comes and goes."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from lvsha.errors import InputError, UnavailableError
from lvsha.speaker.link import Connected, Disconnected, SpeakerLink
from lvsha.speaker.messages import Beat, Command, Event, Reply, Status, encode
from lvsha.speaker.port import Port
from tests.lab.background import background


class Echo:
    """A speaker that answers every command but Status."""

    def __init__(self, path: Path) -> None:
        self.came = asyncio.Event()
        self.port = Port(path, self)
        self.port.open()

    def connected(self) -> None:
        """As `port.Listener`."""
        self.came.set()

    def disconnected(self) -> None:
        """As `port.Listener`."""

    def misunderstood(self, error: InputError) -> None:
        """As `port.Listener`."""
        raise error

    def command(self, command: Command) -> None:
        """As `port.Listener`."""
        if not isinstance(command, Status):
            self.port.send(Reply(id=command.id, why=command.kind))


@asynccontextmanager
async def linked(path: Path) -> AsyncIterator[SpeakerLink]:
    """A link that runs."""
    link = SpeakerLink(path, retry=0.01)
    async with background(link.run()):
        yield link


async def test_it_connects_when_a_speaker_comes_and_again_after_it_went(tmp_path: Path) -> None:
    """The stream says when a speaker is there and when it is gone, for ever."""
    path = tmp_path / "speaker.sock"
    async with asyncio.timeout(5), linked(path) as link:
        stream = link.messages()
        for _ in range(2):
            speaker = Echo(path)
            assert isinstance(await anext(stream), Connected)
            await speaker.came.wait()
            speaker.port.send(Event(event="vip.added", fields={}))
            assert await anext(stream) == Event(event="vip.added", fields={})
            speaker.port.close()
            assert isinstance(await anext(stream), Disconnected)


async def test_answers_find_their_questions(tmp_path: Path) -> None:
    """Many questions at once each get their own answer."""
    speaker = Echo(tmp_path / "s")
    async with linked(tmp_path / "s") as link:
        assert isinstance(await anext(link.messages()), Connected)
        answers = await asyncio.gather(*(link.ask(Beat(), within=2) for _ in range(50)))
        assert sorted(answer.id for answer in answers) == list(range(1, 51))
    speaker.port.close()


async def test_no_answer_and_no_speaker_are_told(tmp_path: Path) -> None:
    """Whoever asks learns that nobody answered, that the speaker went, or that there is none."""
    async with linked(tmp_path / "s") as link:
        with pytest.raises(UnavailableError, match="no speaker answers"):
            await link.ask(Beat(), within=1)
        speaker = Echo(tmp_path / "s")
        assert isinstance(await anext(link.messages()), Connected)
        with pytest.raises(UnavailableError, match="did not answer `status`"):
            await link.ask(Status(), within=0.05)
        question = asyncio.create_task(link.ask(Status(), within=5))
        await asyncio.sleep(0.02)
        speaker.port.close()
        with pytest.raises(UnavailableError, match="gone"):
            await question


async def test_a_speaker_that_cannot_be_told_is_not_there(tmp_path: Path) -> None:
    """Whoever could not say something knows at once that nobody is connected, before the end is read."""
    speaker = Echo(tmp_path / "speaker.sock")
    async with asyncio.timeout(5), linked(tmp_path / "speaker.sock") as link:
        assert isinstance(await anext(link.messages()), Connected)
        await speaker.came.wait()
        speaker.port.close()
        with pytest.raises(UnavailableError, match="is gone"):
            await link.send(Beat())
        assert not link.connected


async def test_the_last_words_of_a_speaker_that_did_not_listen_are_heard(tmp_path: Path) -> None:
    """It ends with something unread: the kernel says that first (unix(7)), and then what was said."""
    loop = asyncio.get_running_loop()
    said = Event(event="vip.removed", fields={})
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        async with asyncio.timeout(5), linked(tmp_path / "s") as link:
            stream = link.messages()
            connection, _ = await loop.sock_accept(listener)
            assert isinstance(await anext(stream), Connected)
            await link.send(Beat())
            with connection:
                connection.send(encode(said))
            assert await anext(stream) == said
            assert isinstance(await anext(stream), Disconnected)
