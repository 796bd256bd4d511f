"""The two roads as routes take them: `WriteSession` and `Reads`."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import HTTPConnection

from app.database.reads import ReadRoad
from app.database.recorder import Recorder
from app.database.writes import WriteRoad


@dataclass(frozen=True)
class Database:
    """The roads to the data, and who hears of all statements."""

    writes: WriteRoad
    reads: ReadRoad
    recorder: Recorder


async def get_session(connection: HTTPConnection) -> AsyncIterator[AsyncSession]:
    """Give a write session that commits when the route returns and rolls back when it raises."""
    database: Database = connection.state.database
    async with database.writes.session() as session:
        yield session


async def get_reads(connection: HTTPConnection) -> ReadRoad:
    """Give the read road."""
    database: Database = connection.state.database
    return database.reads


# scope="function" ends the dependency before the response is sent: a commit that fails
# becomes an error for the client instead of a success that never happened.
WriteSession = Annotated[AsyncSession, Depends(get_session, scope="function")]
Reads = Annotated[ReadRoad, Depends(get_reads)]
