"""Reads that may be a little old, from a replica: `ReplicaReads`."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends
from starlette.requests import HTTPConnection

from app.database.reads import ReadRoad
from app.database.roads import Database


@dataclass(frozen=True)
class ReplicatedDatabase(Database):
    """A database with a read road to a replica, which is that of the primary if there is none."""

    replica: ReadRoad


async def get_replica_reads(connection: HTTPConnection) -> ReadRoad:
    """Give the read road to the replica."""
    database: ReplicatedDatabase = connection.state.database
    return database.replica


# For reports and exports, never for what the same user has just written.
ReplicaReads = Annotated[ReadRoad, Depends(get_replica_reads)]
