"""The process' one connection to Redis: what is asked in a turn of the event loop is sent at once.

Redis answers in the order of the questions, so many can be under way on one connection. With
redis-py's client, several calls in each of its pipelines, a miss takes 2.4 times as much CPU
for Redis, and a hit 2.2 times (docs/performance.md).
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Any

from hiredis import HiredisError, Reader, pack_command
from redis.asyncio import ConnectionPool
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.driver_info import DriverInfo

from app.caching.entries import ERRORS
from app.redis_parameters import split_url

logger = logging.getLogger(__name__)

DRIVER = DriverInfo()  # made once: each connection would look for its version on the disk
# What a Redis says that is not, or not yet, the one to ask: its address may lead to another.
NOT_NOW = ("READONLY", "LOADING", "MASTERDOWN")
PAUSE = 1.0  # seconds without Redis after it could not be reached, then one call tries

Words = tuple[str | bytes | int, ...]
Answers = list[asyncio.Future[Any]]  # to one question, for all that have asked it


class UnreachableError(Exception):
    """Redis did not answer in time, refused, or is left alone for a moment because of that."""


class RedisConnection:
    """Sends commands and gives their answers; opened when it is needed, and again when it breaks.

    Args:
        url: where Redis is, as redis-py has it.
        timeout: seconds to wait for the oldest answer, and for a connection.
    """

    def __init__(self, url: str, timeout: float) -> None:
        self._timeout = timeout
        # redis-py makes the connection, in all the ways that a URL can ask for.
        address, options = split_url(url)
        self._pool = ConnectionPool.from_url(
            address, **options, protocol=2, retry=Retry(NoBackoff(), 0), driver_info=DRIVER
        )
        self._link: _Link | None = None
        self._opening: asyncio.Task[None] | None = None
        self._unsent: dict[Words, Answers] = {}
        self._reachable = True
        self._next_try = 0.0
        self._refused: dict[str, float] = {}  # commands, and when each may be tried again

    def may_try(self, command: str = "") -> bool:
        """Tell whether it, or one of its commands, is not left alone now."""
        now = monotonic()
        return (self._reachable or now >= self._next_try) and now >= self._refused.get(command, 0.0)

    def try_now(self) -> None:
        """Do not leave it alone any longer."""
        self._next_try = 0.0
        self._refused.clear()

    def call(self, *words: str | bytes | int) -> asyncio.Future[Any]:
        """Return the answer to a command, or UnreachableError.

        Whoever asks the same in the same turn of the loop gets the same answer.
        """
        loop = asyncio.get_running_loop()
        answer = loop.create_future()
        if not self.may_try():
            _fail([answer])
            return answer
        if self._refused and not self._tries_again(str(words[0]), answer):
            _fail([answer])
            return answer
        if not self._reachable:
            self._next_try = monotonic() + PAUSE  # for others, while this one tries
        if not self._unsent:
            loop.call_soon(self._send)
        self._unsent.setdefault(words, []).append(answer)
        return answer

    def close(self) -> None:
        """Give up what is under way."""
        if self._opening is not None:
            self._opening.cancel()
            self._opening = None
        if self._link is not None:
            self._link.end()
        self._fail_unsent()

    def _tries_again(self, command: str, answer: asyncio.Future[Any]) -> bool:
        if command not in self._refused:
            return True
        if not self.may_try(command):
            return False
        self._refused[command] = monotonic() + PAUSE  # for others, while this one tries
        answer.add_done_callback(lambda answer: self._taken(command, answer))
        return True

    def _taken(self, command: str, answer: asyncio.Future[Any]) -> None:
        if not answer.cancelled() and answer.exception() is None and command in self._refused:
            del self._refused[command]
            logger.info("Redis takes %s again", command)

    def _refuse(self, command: str, error: Exception) -> None:
        ERRORS.add()
        if command not in self._refused:
            logger.warning("Redis refuses %s: %s", command, error)
        self._refused[command] = monotonic() + PAUSE

    def _send(self) -> None:
        if self._link is not None:
            calls, self._unsent = self._unsent, {}
            self._link.send(calls)
        elif self._opening is None:
            self._opening = asyncio.get_running_loop().create_task(self._open())

    async def _open(self) -> None:
        try:
            connection = await self._connected()
        except Exception as error:  # whatever it is, nobody may wait for ever
            self._failed(error)
        else:
            self._link = _Link(connection, self._timeout, self._heard, self._refuse, self._ended)
            self._send()
        finally:
            if self._opening is asyncio.current_task():  # else it was closed, and may be anew
                self._opening = None

    async def _connected(self) -> AbstractConnection:
        connection: AbstractConnection = self._pool.make_connection()  # type: ignore[no-untyped-call]
        try:
            async with asyncio.timeout(self._timeout):
                await connection.connect()  # type: ignore[no-untyped-call]
        except BaseException:
            connection._close()  # type: ignore[no-untyped-call]
            raise
        return connection

    def _heard(self) -> None:
        if not self._reachable:
            logger.info("Redis can be reached again")
            self._reachable = True

    def _ended(self, error: Exception | None) -> None:
        self._link = None
        if error is not None:
            self._failed(error)
        elif self._unsent:
            self._send()

    def _failed(self, error: Exception) -> None:
        ERRORS.add()
        if self._reachable:
            logger.warning("Redis cannot be reached: %s", type(error).__name__)
        self._reachable, self._next_try = False, monotonic() + PAUSE
        self._fail_unsent()

    def _fail_unsent(self) -> None:
        unsent, self._unsent = self._unsent, {}
        for answers in unsent.values():
            _fail(answers)


class _Link(asyncio.Protocol):
    """One connection from its beginning to its end.

    Args:
        connection: is open.
        timeout: seconds to wait for the oldest answer.
        heard: is called when Redis has answered.
        refused: is called with a command that it has refused, and why: full, say.
        ended: is called once, with what went wrong while an answer was waited for.
    """

    def __init__(
        self,
        connection: AbstractConnection,
        timeout: float,
        heard: Callable[[], None],
        refused: Callable[[str, Exception], None],
        ended: Callable[[Exception | None], None],
    ) -> None:
        self._connection = connection
        # redis-py has no public way to the transport that it has opened.
        self._transport: asyncio.WriteTransport = connection._writer.transport  # type: ignore[union-attr]
        self._transport.set_protocol(self)
        self._reader = Reader()
        self._timeout, self._heard, self._ended = timeout, heard, ended
        self._refused = refused
        self._sent: deque[tuple[float, str | bytes | int, Answers]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def send(self, calls: dict[Words, Answers]) -> None:
        """Send some commands."""
        now = monotonic()
        packed = []
        for words, answers in calls.items():
            try:
                # Its types have it that a command is one word.
                packed.append(pack_command(words))  # type: ignore[arg-type]
            except (ValueError, TypeError):  # waiting for it, they would take another's answer
                _fail(answers)
            else:
                self._sent.append((now, words[0], answers))
        if not packed:
            return
        self._transport.write(b"".join(packed))
        if self._timer is None:
            self._look_again_at(now + self._timeout)

    def data_received(self, data: bytes) -> None:
        """Give answers to who has asked."""
        try:
            self._reader.feed(data)
            while (reply := self._reader.gets()) is not False:
                _, command, answers = self._sent.popleft()
                if isinstance(reply, HiredisError):
                    _fail(answers)
                    if str(reply).startswith(NOT_NOW):
                        self.end(reply)
                        return
                    self._refused(str(command), reply)  # which says nothing of other commands
                    continue
                for answer in answers:
                    if not answer.done():
                        answer.set_result(reply)
        except (HiredisError, IndexError) as error:  # no Redis speaks so
            self.end(error)
        else:
            self._heard()

    def connection_lost(self, error: Exception | None) -> None:
        """End, which is no failure while nobody waits."""
        self.end((error or ConnectionResetError()) if self._sent else None)

    def end(self, error: Exception | None = None) -> None:
        """Close the connection."""
        if self._timer is not None:
            self._timer.cancel()
        self._transport.abort()
        self._connection._close()  # type: ignore[no-untyped-call]
        sent, self._sent = self._sent, deque()
        for _, _, answers in sent:
            _fail(answers)
        ended, self._ended = self._ended, _nothing
        ended(error)

    def _look_again_at(self, when: float) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(when - monotonic(), self._look)

    def _look(self) -> None:
        self._timer = None
        if not self._sent:
            return
        oldest, *_ = self._sent[0]
        if monotonic() >= oldest + self._timeout:
            self.end(TimeoutError())
        else:
            self._look_again_at(oldest + self._timeout)


def _nothing(_: Exception | None) -> None:
    pass


def _fail(answers: Answers) -> None:
    for answer in answers:
        if not answer.done():
            answer.set_exception(UnreachableError())
            answer.exception()  # it was told, whoever waits
