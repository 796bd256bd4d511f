"""A service for tests to call: it answers as it is told, and notes who comes and goes."""

import asyncio
import json
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import pytest

from tests.waiting import HANG


class Upstream:
    """What it will answer, and what it has seen."""

    def __init__(self) -> None:
        self.may_answer = asyncio.Event()  # without it an answer is held back
        self.may_answer.set()
        self.statuses = [200]  # of the next answers; the last one stays
        self.headers = b""
        self.body = b"{}"
        self.pause = 0.0  # seconds before each byte of it
        self.requests: list[str] = []  # the first line of each, and its headers
        self.connections = 0  # now
        self.most = 0  # connections at once
        self.opened = 0  # connections in all
        self.left = 0  # clients that did not wait for their answer
        self.url = ""
        self._news = asyncio.Event()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["Upstream"]:
        """Serve on a free port of this machine."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield self
        server.close()  # and no more: Python 3.12 would wait for connections that a client leaves open

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        self.opened += 1
        self.connections += 1
        self.most = max(self.most, self.connections)
        try:
            # A client that has left, or closes what it kept.
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                while await self._answer(reader, writer):
                    pass
        finally:
            self.connections -= 1
            writer.close()

    async def _answer(self, reader: StreamReader, writer: StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        _, _, length = head.lower().partition("content-length: ")
        await reader.readexactly(int(length.partition("\r\n")[0] or 0))
        self.requests.append(head)
        self._news.set()
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        gone = asyncio.create_task(reader.read(1))  # it sends nothing meanwhile
        answers = asyncio.create_task(self.may_answer.wait())
        await asyncio.wait([gone, answers], return_when=asyncio.FIRST_COMPLETED)
        answers.cancel()
        if gone.done():
            self.left += 1
            self._news.set()
            return False
        gone.cancel()
        await asyncio.wait([gone])
        if status == 0:  # broken: it leaves without a word
            return False
        start = f"HTTP/1.1 {status} Status\r\ncontent-length: {len(self.body)}\r\n"
        writer.write(start.encode() + self.headers + b"\r\n")
        step = 1 if self.pause else len(self.body)
        for at in range(0, len(self.body), step):
            await asyncio.sleep(self.pause)
            writer.write(self.body[at : at + step])
            await writer.drain()
        return True

    async def until(self, is_so: Callable[["Upstream"], bool]) -> None:
        """Wait until it has seen what one waits for."""
        async with asyncio.timeout(HANG):
            while not is_so(self):
                self._news.clear()
                await self._news.wait()


Others = dict[str, Upstream]


@pytest.fixture
async def others(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Others]:
    """Other services, by the names that this one knows them by."""
    others = {name: Upstream() for name in ("north", "south", "west")}
    monkeypatch.setenv("NO_PROXY", "*")
    async with AsyncExitStack() as stack:
        for upstream in others.values():
            await stack.enter_async_context(upstream.serving())
        urls = {name: upstream.url for name, upstream in others.items()}
        monkeypatch.setenv("OUTBOUND_UPSTREAMS", json.dumps(urls))
        yield others
