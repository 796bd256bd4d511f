"""The gate before a pool: first come, first served, and nobody waits for long.

A pool alone gives a connection that comes free to whoever asks next, past those who wait:
under load the unlucky wait ten times as long as the others.
"""

import asyncio
import logging
from collections import deque
from math import inf
from time import monotonic
from types import TracebackType
from typing import ClassVar

from app.errors import ProblemError

logger = logging.getLogger(__name__)

PAUSE = 10.0  # seconds between two causes in the log: each request has one while it is away


class UnavailableError(ProblemError):
    """The database cannot take the request now; the same one may pass in a moment."""

    logged: ClassVar[float] = -inf  # when a cause last was, by `time.monotonic`

    def __init__(self, detail: str = "The database is not available.") -> None:
        super().__init__(503, detail, headers={"Retry-After": "1"})

    @classmethod
    def because(cls, error: Exception) -> "UnavailableError":
        """Return it for an error of the driver's, which the log is told of now and then."""
        now = monotonic()
        if now - UnavailableError.logged > PAUSE:
            UnavailableError.logged = now
            logger.warning("the database is not available", exc_info=error)
        return cls()


class BusyError(UnavailableError):
    """Too many requests wait for the database, or this one has waited too long."""

    def __init__(self) -> None:
        super().__init__("The service is busy.")


class Gate:
    """Lets `size` in at a time, in the order in which they came.

    Args:
        size: how many may be inside, the number of the pool's connections.
        queue: how many may wait; one more is refused at once.
        timeout: seconds that one may wait.
    """

    def __init__(self, size: int, *, queue: int, timeout: float) -> None:
        self.size = size
        self.free = size
        self.answered = -inf  # when one inside last got an answer, by `time.monotonic`
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._queue = queue
        self._timeout = timeout

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def enter_now(self) -> bool:
        """Go in if there is a place, and tell whether there was; whoever is in has to `leave`."""
        # A place is only free when nobody waits: `leave` gives it to the first in line.
        if self.free > 0:
            self.free -= 1
            return True
        return False

    async def enter(self) -> None:
        """Go in, now or when it is one's turn.

        Raises:
            BusyError: when the queue is full or the wait was too long.
        """
        if self.enter_now():
            return
        if len(self._waiting) >= self._queue:
            raise BusyError
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        self._waiting.append(turn)
        timer = loop.call_later(self._timeout, _give_up, turn)
        try:
            await turn
        except BaseException:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self.leave()  # cancelled in the very moment in which it got the place
            elif turn in self._waiting:
                self._waiting.remove(turn)
            raise
        finally:
            timer.cancel()

    def leave(self) -> None:
        """Give the place to who has waited longest."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self.free += 1

    async def __aenter__(self) -> None:
        await self.enter()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.leave()


def _give_up(turn: asyncio.Future[None]) -> None:
    if not turn.done():
        turn.set_exception(BusyError())
