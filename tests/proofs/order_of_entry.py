"""Count how often a call passes one that arrived earlier, with many clients on a small pool.

Runs in a project's folder with its interpreter, on DATABASE_URL. Prints the counts of each road,
and of SQLAlchemy's pool alone.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

sys.path.insert(0, str(Path.cwd()))

from sqlalchemy import text

from app.database import DatabaseSettings, open_database
from app.database.gate import Gate
from app.items import queries

CLIENTS, POOL, CALLS = 32, 10, 20

Enter = Callable[[], None]


class Order:
    """The order in which the tasks' calls arrive and enter."""

    def __init__(self) -> None:
        self.arrived = 0
        self.entered = 0
        self.passed = 0  # by a call that arrived later
        self._waiting: dict[asyncio.Task[object] | None, int] = {}

    def arrive(self) -> None:
        """Note the arrival of the current task's next call."""
        self._waiting[asyncio.current_task()] = self.arrived
        self.arrived += 1

    def enter(self, task: asyncio.Task[object] | None = None) -> None:
        """Note that a task's call, else the current task's, is in."""
        mine = self._waiting.pop(task or asyncio.current_task())
        self.entered += 1
        self.passed += sum(other < mine for other in self._waiting.values())

    async def of(self, call: Callable[[], Awaitable[object]]) -> dict[str, int]:
        """Have all clients call again and again, and return how often one was passed."""

        async def client() -> None:
            for _ in range(CALLS):
                self.arrive()
                await call()

        await asyncio.gather(*(client() for _ in range(CLIENTS)))
        return {"entered": self.entered, "passed": self.passed}


class NotingGate(Gate):
    """A gate that notes the order."""

    order: Order

    def enter_now(self) -> bool:
        """Go in if there is a place.

        The note comes after those of the tasks that `leave` has woken, but that have not run yet.
        """
        if free := super().enter_now():
            asyncio.get_running_loop().call_soon(self.order.enter, asyncio.current_task())
        return free

    async def enter(self) -> None:
        """Go in, now or later."""
        if not self.enter_now():
            await super().enter()
            self.order.enter()


async def main() -> None:
    """Count on each road."""
    reads, writes, alone = Order(), Order(), Order()
    pools = {"read_pool": POOL, "write_pool": POOL}
    async with open_database(DatabaseSettings().model_copy(update=pools)) as database:
        engine = database.writes.engine
        for road, order in ((database.reads, reads), (database.writes, writes)):
            road.gate = NotingGate(POOL, queue=CLIENTS, timeout=120)
            road.gate.order = order

        async def write() -> None:
            async with database.writes.session() as session:
                await session.execute(text("SELECT 1"))

        async def take() -> None:
            async with engine.connect() as connection:
                alone.enter()
                await connection.execute(text("SELECT 1"))

        found = {
            "reads": await reads.of(lambda: database.reads.all(queries.PAGE, limit=21)),
            "writes": await writes.of(write),
            "pool alone": await alone.of(take),
        }
    print(json.dumps({"calls": CLIENTS * CALLS, **found}))


asyncio.run(main())
