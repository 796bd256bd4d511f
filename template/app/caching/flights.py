"""Single flight: of those that miss the same entry at once one makes it, the others wait."""

import asyncio
from collections.abc import Hashable

from app.caching.entries import Entry


class Flights:
    """The entries that are being made in this process.

    A flight's name has the generations in it: who arrives after a write does not wait for
    what began before it.
    """

    def __init__(self) -> None:
        self._flights: dict[Hashable, asyncio.Future[Entry | None]] = {}

    def lead(self, name: Hashable) -> "Flight | None":
        """Return the flight to make the entry in, None when it is being made."""
        if name in self._flights:
            return None
        return Flight(self._flights, name)

    async def wait(self, name: Hashable, seconds: float) -> Entry | None:
        """Return what is made, None when that cannot be kept or takes too long.

        Raises:
            LookupError: when it came to nothing because its own client left: try again.
        """
        future = self._flights[name]
        await asyncio.wait({future}, timeout=seconds)
        if future.cancelled():
            raise LookupError
        return future.result() if future.done() else None


class Flight:
    """One entry in the making; as a context manager it ends however the making does."""

    def __init__(
        self, flights: dict[Hashable, asyncio.Future[Entry | None]], name: Hashable
    ) -> None:
        self._flights, self._name = flights, name
        self._future = flights[name] = asyncio.get_running_loop().create_future()

    def __enter__(self) -> "Flight":
        return self

    def land(self, entry: Entry | None) -> None:
        """Give the entry to those that wait, or tell them that there will be none."""
        if not self._future.done():
            self._future.set_result(entry)
            del self._flights[self._name]

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, asyncio.CancelledError) and not self._future.done():
            self._future.cancel()
            del self._flights[self._name]
        else:
            self.land(None)
