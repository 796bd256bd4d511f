"""A client that knows what became of each of its requests when a server stops or a worker dies."""

import asyncio
import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

GONE = (ConnectionResetError, BrokenPipeError, asyncio.IncompleteReadError)


class ClosedError(Exception):
    """The connection was closed before any byte of the answer."""


@dataclass
class Connection:
    """A connection that is kept for one request after the other."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    answers: int = 0

    @classmethod
    async def open(cls, port: int) -> "Connection":
        """Connect.

        Raises:
            OSError: when nobody listens.
        """
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def get(self, path: str) -> tuple[int, Any]:
        """Ask for something, as `send` does."""
        return await self.send("GET", path)

    async def send(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Send a request and return the answer's status and JSON.

        Raises:
            ClosedError: when the connection was closed before any byte of the answer.
            asyncio.IncompleteReadError: when it was closed within the answer.
        """
        request = f"{method} {path} HTTP/1.1\r\nHost: test\r\n"
        content = "" if body is None else json.dumps(body)
        if content:
            request += f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n"
        try:
            self.writer.write(f"{request}\r\n{content}".encode())
            first = await self.reader.readexactly(1)
        except GONE:
            raise ClosedError from None
        head = (first + await self.reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
        body = await self.reader.readexactly(length)
        self.answers += 1
        if "connection: close" in head:
            self.close()
        return int(head.split(" ", 2)[1]), json.loads(body)

    def close(self) -> None:
        """Close it."""
        self.writer.close()


async def get(port: int, path: str) -> tuple[int, Any]:
    """Ask on a connection of its own."""
    connection = await Connection.open(port)
    try:
        return await connection.get(path)
    finally:
        connection.close()


@dataclass
class Load:
    """Clients that ask without a pause, and what became of their requests.

    A request on a kept connection that is closed before any byte of an answer is sent once
    more on a new one: the two crossed, and any proxy does so.
    """

    port: int
    keep: bool = True
    stopping: bool = False  # from now on nobody need listen
    over: bool = False
    statuses: Counter[int] = field(default_factory=Counter)
    broken: Counter[str] = field(default_factory=Counter)
    retried: int = 0

    async def answers(self, number: int) -> None:
        """Wait for so many more good answers."""
        wanted = self.statuses[200] + number
        async with asyncio.timeout(120):
            while self.statuses[200] < wanted:  # noqa: ASYNC110  (clients would have to know)
                await asyncio.sleep(0.01)

    async def client(self, path: str) -> None:
        """Ask until it is over, or nobody listens any more."""
        connection: Connection | None = None
        while not self.over:
            late = self.stopping
            try:
                if connection is None or connection.writer.is_closing():
                    connection = await Connection.open(self.port)
            except OSError:
                if self.stopping:
                    return
                self.broken["refused"] += 1
                await asyncio.sleep(0.05)
                continue
            try:
                status, _ = await connection.get(path)
                self.statuses[status] += 1
                if not self.keep:
                    connection.close()
            except ClosedError:
                if connection.answers:
                    self.retried += 1
                else:  # late: it stood before a door that was being closed
                    self.broken["turned away" if late else "unanswered"] += 1
                connection = None
            except asyncio.IncompleteReadError:
                self.broken["cut"] += 1
                connection = None
