"""A proxy between a client and a server that can fall silent, as a machine does that dies."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from threading import Thread


@dataclass(eq=False)
class _Link:
    frozen: bool = False


@dataclass
class Proxy:
    """Passes on what comes, but for the connections that were frozen.

    Args:
        target: the server's port on this machine.
    """

    target: int
    port: int = 0
    _links: list[_Link] = field(default_factory=list)

    def freeze(self) -> int:
        """Have the connections that there are stay open and pass nothing on; return how many."""
        links, self._links = self._links, []
        for link in links:
            link.frozen = True
        return len(links)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.close()
            return
        link = _Link()
        self._links.append(link)

        async def pass_on(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
            with suppress(OSError):
                while data := await source.read(65536):
                    if not link.frozen:
                        target.write(data)
            if not link.frozen:
                target.close()

        await asyncio.gather(pass_on(reader, server_writer), pass_on(server_reader, writer))
        if not link.frozen:
            self._links.remove(link)


@contextmanager
def proxy(target: int) -> Iterator[Proxy]:
    """Run a proxy to a port of this machine in a thread."""
    made = Proxy(target)
    loop = asyncio.new_event_loop()
    listening = loop.run_until_complete(asyncio.start_server(made._connect, "127.0.0.1", 0))
    made.port = listening.sockets[0].getsockname()[1]
    thread = Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        listening.close()
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
