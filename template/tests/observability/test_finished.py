"""Requests are told of together, soon, and each once."""

import asyncio
from collections.abc import Iterator, Sequence

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient

from app.observability.context import FinishedRequest
from app.observability.finished import (
    BATCH_SECONDS,
    MAX_BATCH,
    FinishedRequests,
    finished_requests,
)
from tests.waiting import until

LAST = FinishedRequest("r-1", "GET", "/last", None, 200, 0.1, [])


@pytest.fixture
def told() -> Iterator[list[str]]:
    """The paths of the requests that were told of."""
    paths: list[str] = []

    def listen(requests: Sequence[FinishedRequest]) -> None:
        paths.extend(request.path for request in requests)

    finished_requests.listeners.append(listen)
    yield paths
    finished_requests.listeners.remove(listen)


async def test_a_request_is_told_of_soon(client: AsyncClient, told: list[str]) -> None:
    await client.get("/health/live")

    await until(lambda: told)

    assert told == ["/health/live"]


async def test_the_last_requests_are_told_of_when_the_service_stops(
    app: FastAPI, tables: None, told: list[str]
) -> None:
    async with app.router.lifespan_context(app):
        finished_requests.add(LAST)
        assert told == []

    assert told == ["/last"]
    await asyncio.sleep(2 * BATCH_SECONDS)
    assert told == ["/last"]  # not once more


async def test_many_requests_do_not_wait() -> None:
    finished = FinishedRequests()
    sizes: list[int] = []
    finished.listeners.append(lambda requests: sizes.append(len(requests)))

    for _ in range(2 * MAX_BATCH + 1):
        finished.add(LAST)

    assert sizes == [MAX_BATCH, MAX_BATCH]
    await until(lambda: len(sizes) > 2)
    assert sizes == [MAX_BATCH, MAX_BATCH, 1]
