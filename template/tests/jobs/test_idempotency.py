"""A request that creates something can be sent again."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient, Response
from pydantic import BaseModel
from sqlalchemy import Table, func, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from app.database import Database, WriteSession
from app.idempotency import MAX_LENGTH, IdempotencyKey, Once
from app.jobs.kinds import Queue, all_kinds
from app.jobs.models import Job
from app.jobs.outbox import enqueue
from tests.database.scratch import existing
from tests.jobs.kinds import Words

pytestmark = pytest.mark.usefixtures("anybody_may_ask")

Nudged = list[tuple[int, Queue]]
TEA = {"kind": "test", "arguments": {"word": "tea"}}


class Scratch(DeclarativeBase):
    pass


class Cup(Once, Scratch):
    __tablename__ = "cups"

    id: Mapped[int] = mapped_column(primary_key=True)
    size: Mapped[int] = mapped_column(unique=True)


class Size(BaseModel):
    size: int


@pytest.fixture(autouse=True)
def _kinds(add_kind: Callable[..., None]) -> None:
    add_kind()
    add_kind(name="other")


@pytest.fixture
def held() -> tuple[asyncio.Event, asyncio.Event]:
    """Set when `/held` has added its job, and for it to go on."""
    return asyncio.Event(), asyncio.Event()


@pytest.fixture
def app(app: FastAPI, held: tuple[asyncio.Event, asyncio.Event]) -> FastAPI:
    @app.post("/held/{end}", status_code=202)
    async def hold(key: IdempotencyKey, session: WriteSession, end: str) -> int:
        key.path = "/jobs"
        job = await enqueue(session, all_kinds()["test"], Words(word="tea"), key)
        held[0].set()
        await held[1].wait()
        if end == "fail":
            raise LookupError
        return job.id

    @app.post("/cups")
    async def add_cup(size: Size, key: IdempotencyKey, session: WriteSession, who: str = "") -> int:
        return (await key.add(session, Cup(size=size.size), size, client=who)).id

    return app


@pytest.fixture
async def cups(state: dict[str, Any]) -> AsyncIterator[None]:
    assert isinstance(Cup.__table__, Table)
    async with existing(state["database"], Cup.__table__):
        yield


async def ask(client: AsyncClient, key: str, body: object = TEA, path: str = "/jobs") -> Response:
    return await client.post(path, json=body, headers={"Idempotency-Key": key})


async def jobs(state: dict[str, Any]) -> int:
    database: Database = state["database"]
    async with database.writes.engine.connect() as connection:
        return (await connection.execute(select(func.count()).select_from(Job))).scalar_one()


async def test_a_key_that_is_sent_again_has_the_job_of_the_first_time(
    client: AsyncClient, state: dict[str, Any], nudged: Nudged
) -> None:
    first = await ask(client, "k")
    again = await ask(client, "k", {"arguments": {"word": "tea"}, "kind": "test"})

    assert (first.status_code, again.status_code) == (202, 202)
    assert again.json() == first.json()
    assert again.headers["location"] == first.headers["location"]
    assert len(nudged) == await jobs(state) == 1


async def test_without_a_key_each_request_has_a_job(
    client: AsyncClient, state: dict[str, Any], nudged: Nudged
) -> None:
    for _ in range(2):
        assert (await client.post("/jobs", json=TEA)).status_code == 202

    assert len(nudged) == await jobs(state) == 2


@pytest.mark.parametrize(
    "body", [{"kind": "other", "arguments": {"word": "tea"}}, {"kind": "test"}]
)
async def test_a_key_that_comes_with_another_request_is_refused(
    client: AsyncClient, state: dict[str, Any], nudged: Nudged, body: object
) -> None:
    await ask(client, "k")
    refused = await ask(client, "k", body)

    assert refused.status_code == 422
    assert refused.json()["detail"] == "This Idempotency-Key came with another request."
    assert len(nudged) == await jobs(state) == 1


@pytest.mark.usefixtures("nudged")
async def test_keys_are_equal_only_where_each_character_is(
    client: AsyncClient, state: dict[str, Any]
) -> None:
    for key in ("k", "K", '"k"', "k" * MAX_LENGTH, "ḱ".encode()):
        headers = [(b"Idempotency-Key", key if isinstance(key, bytes) else key.encode())]
        assert (await client.post("/jobs", json=TEA, headers=headers)).status_code == 202

    assert await jobs(state) == 5


@pytest.mark.parametrize("keys", [[""], [" "], ["k" * (MAX_LENGTH + 1)], ["k", "k"]])
async def test_what_is_no_key_is_refused(
    client: AsyncClient, state: dict[str, Any], keys: list[str]
) -> None:
    headers = [("Idempotency-Key", key) for key in keys]
    refused = await client.post("/jobs", json=TEA, headers=headers)

    assert refused.status_code == 400
    assert refused.headers["content-type"] == "application/problem+json"
    assert await jobs(state) == 0


@pytest.mark.parametrize(("end", "passes"), [("well", {202}), ("fail", {202, 503})])
async def test_requests_at_the_same_moment_make_one_job(  # noqa: PLR0917
    client: AsyncClient,
    state: dict[str, Any],
    nudged: Nudged,
    held: tuple[asyncio.Event, asyncio.Event],
    end: str,
    passes: set[int],
) -> None:
    """They wait for the first one: when that fails, one of them is the first."""
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        first = group.create_task(ask(client, "k", path=f"/held/{end}"))
        await held[0].wait()
        others = [group.create_task(ask(client, "k")) for _ in range(3)]
        await asyncio.sleep(0.5)  # they wait by then; later, they have the same answers
        held[1].set()

    answers = [other.result() for other in others]
    assert {answer.status_code for answer in answers} <= passes
    assert all(answer.status_code == 202 or "retry-after" in answer.headers for answer in answers)
    assert first.result().status_code == (202 if end == "well" else 500)
    locations = {answer.headers.get("location") for answer in answers} - {None}
    assert len(locations) == len(nudged) == await jobs(state) == 1


@pytest.mark.usefixtures("cups")
async def test_each_client_has_keys_of_its_own(client: AsyncClient) -> None:
    answers = [await ask(client, "k", {"size": 1}, "/cups?who=a") for _ in range(2)]
    answers.append(await ask(client, "k", {"size": 2}, "/cups?who=b"))

    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert answers[0].json() == answers[1].json() != answers[2].json()


@pytest.mark.usefixtures("cups")
async def test_what_another_constraint_refuses_is_a_conflict_with_a_key_too(
    client: AsyncClient,
) -> None:
    answers = [await ask(client, key, {"size": 1}, "/cups") for key in ("k", "another")]

    assert [answer.status_code for answer in answers] == [200, 409]
