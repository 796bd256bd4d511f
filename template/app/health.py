"""Liveness (is the process answering?) and readiness (can it do its work?)."""

import asyncio
import logging
from collections.abc import Callable
from time import monotonic
from typing import Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict

from app.database import TABLES, Base, BusyError, Database, UnavailableError
from app.database.gate import Gate
from app.database.writes import WriteRoad
from app.draining import stopping
from app.errors import ProblemError

router = APIRouter(prefix="/health", tags=["health"])
logger = logging.getLogger(__name__)

READY_TIMEOUT = 2.0  # seconds; below the usual probe timeout of a platform
RECENT = 5.0  # seconds for which an answer to others says that the database is there

# What other parts say of a service that is ready, by a name in its answer; None leaves it out.
REMARKS: dict[str, Callable[[], str | None]] = {}


class Health(BaseModel):
    """The answer to a probe that passed."""

    model_config = ConfigDict(extra="allow")  # remarks

    status: Literal["ok"] = "ok"
    writes: Literal["refused"] | None = None


@router.get("/live", response_model_exclude_none=True)
async def live() -> Health:
    """Say that the process answers; a failing database must not get it restarted."""
    return Health()


@router.get("/ready", response_model_exclude_none=True)
async def ready(request: Request) -> Health:
    """Say that the database answers too, has been migrated, and nobody said to stop."""
    if stopping.is_set():
        raise ProblemError(503, "The service is stopping.")
    database: Database = request.state.database
    if _is_busy(database.reads.gate):  # to send its requests to others would make them so too
        return _with_remarks()
    try:
        async with asyncio.timeout(READY_TIMEOUT):
            found = await database.reads.all(TABLES)
    except (UnavailableError, TimeoutError) as error:
        if isinstance(error, BusyError | TimeoutError) and _is_busy(database.reads.gate):
            return _with_remarks()
        logger.warning("not ready: the database does not answer", exc_info=error)
        raise ProblemError(503, "The database does not answer.") from None
    missing = Base.metadata.tables.keys() - {
        *(row["name"] for row in found if row["is_default"]),
        *(f"{row['schema']}.{row['name']}" for row in found),
    }
    if missing:
        logger.warning("not ready: the database has no %s", ", ".join(sorted(missing)))
        raise ProblemError(503, "The database has not been migrated.")
    return await _tell_of_writes(database.writes)


async def _tell_of_writes(writes: WriteRoad) -> Health:
    """Say that writes are refused, and be not ready where another instance may do better."""
    try:
        async with asyncio.timeout(READY_TIMEOUT):
            if await writes.can_write():
                return _with_remarks()
    except TimeoutError:
        pass
    if writes.probe is None:  # all have the same server, and reads go on
        return _with_remarks(writes="refused")
    raise ProblemError(503, "The database cannot be written to.")


def _with_remarks(writes: Literal["refused"] | None = None) -> Health:
    """Say that the service is ready, and what its parts cannot do."""
    remarks = {name: remark() for name, remark in REMARKS.items()}
    return Health.model_validate({"writes": writes, **remarks})


def _is_busy(gate: Gate) -> bool:
    """Tell whether all connections are taken, and by requests that are being answered."""
    return gate.free == 0 and monotonic() - gate.answered < RECENT
