"""The two roads in WebSocket routes."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from fastapi import FastAPI, WebSocket
from sqlalchemy import Column, Integer, MetaData, Table, func, insert, select

from app.database import Database, Query, Reads, UnavailableError, WriteSession
from tests.database.scratch import existing
from tests.sockets import converse

numbers = Table("numbers", MetaData(), Column("value", Integer, nullable=False))
TOTAL = Query(select(func.coalesce(func.sum(numbers.c.value), 0).label("total")))


@pytest.fixture(autouse=True)
async def _numbers(database: Database) -> AsyncIterator[None]:
    async with existing(database, numbers):
        yield


@pytest.fixture
def app(app: FastAPI) -> FastAPI:
    @app.websocket("/total")
    async def total(socket: WebSocket, reads: Reads) -> None:
        await socket.accept()
        row = await reads.one(TOTAL)
        await socket.send_json(row and int(row["total"]))

    @app.websocket("/add")
    async def add(socket: WebSocket, session: WriteSession) -> None:
        await socket.accept()
        value = int(await socket.receive_text())
        await session.execute(insert(numbers).values(value=value))

    @app.websocket("/away")
    async def away(socket: WebSocket) -> None:
        await socket.accept()
        raise UnavailableError

    return app


async def test_a_socket_reads_and_writes(app: FastAPI, state: dict[str, Any]) -> None:
    await converse(app, state, "/add", "3")
    _, sent = await converse(app, state, "/total")

    assert sent["text"] == "3"


async def test_a_socket_that_fails_writes_nothing(app: FastAPI, state: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="many"):
        await converse(app, state, "/add", "many")
    _, sent = await converse(app, state, "/total")

    assert sent["text"] == "0"


async def test_a_socket_is_closed_while_the_database_is_away(
    app: FastAPI, state: dict[str, Any]
) -> None:
    accepted, closed = await converse(app, state, "/away")

    assert accepted["type"] == "websocket.accept"
    assert (closed["type"], closed["code"]) == ("websocket.close", 1013)
