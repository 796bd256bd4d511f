"""Liveness (is the process answering?) and readiness (can it do its work?)."""

import asyncio
import logging
from typing import Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from app.database import Database
from app.errors import ProblemError

router = APIRouter(prefix="/health", tags=["health"])
logger = logging.getLogger(__name__)

READY_TIMEOUT = 2.0  # seconds; below the usual probe timeout of a platform
PROBE = text("SELECT 1")


class Health(BaseModel):
    """The answer to a probe that passed."""

    status: Literal["ok"] = "ok"


@router.get("/live")
async def live() -> Health:
    """Say that the process answers; a failing database must not get it restarted."""
    return Health()


@router.get("/ready")
async def ready(request: Request) -> Health:
    """Say that the database answers too."""
    database: Database = request.state.database
    try:
        async with asyncio.timeout(READY_TIMEOUT), database.reads.connect() as connection:
            await connection.execute(PROBE)
    except (SQLAlchemyError, OSError, TimeoutError) as error:
        logger.warning("not ready: the database does not answer", exc_info=error)
        raise ProblemError(503, "The database does not answer.") from None
    return Health()
