"""Limits of request bodies."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from fastapi import FastAPI, Request
from httpx2 import AsyncClient
from pydantic import BaseModel, ConfigDict

from app.body import AT_ONCE, SMALL, BodyLimits

JSON = {"Content-Type": "application/json"}
LIMIT = 2 * SMALL


@pytest.fixture
def app(_limits: None, app: FastAPI) -> FastAPI:
    class Strict(BaseModel):
        model_config = ConfigDict(extra="forbid")

    @app.post("/strict")
    async def strict(body: Strict) -> None:
        """Take nothing."""

    @app.post("/size")
    async def size(request: Request) -> int:
        return len(await request.body())

    return app


@pytest.fixture(autouse=True)
def _limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAX_BODY_SIZE", str(LIMIT))
    monkeypatch.setenv("MAX_BODY_VALUES", "1000")


@pytest.mark.parametrize(
    ("body", "too_many"),
    [
        ("[" + ",".join("1" * 10) + "]", False),
        ("[" + ",".join("1" * 11) + "]", True),
        (json.dumps({str(number): 1 for number in range(10)}), False),
        (json.dumps({str(number): 1 for number in range(11)}), True),
        (json.dumps([{}] * 6), True),
        (json.dumps("a,b[{" * 20), False),  # text is one value
        (json.dumps([json.dumps(["a"] * 20)] * 10), False),
        ('"' + "\\" * 3 + '",' + "1," * 10, False),
        ('"' + "\\" * 2 + '",' + "1," * 10, True),
        ("," * 11 + '"' + '\\"' * 20, True),
        ('"' + "," * 20, False),  # never ends: no parser takes it
    ],
)
def test_the_values_of_a_json_body_are_counted(body: str, too_many: bool) -> None:
    assert BodyLimits(1000, 10).has_too_many_values(body.encode()) is too_many


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_values_are_counted_in_any_encoding(encoding: str) -> None:
    body = json.dumps(['"', *["a"] * 20])

    assert BodyLimits(1000, 10).has_too_many_values(body.encode(encoding))


@pytest.mark.parametrize("sent", ['"' + '\\"' * 500_000, '""' * 500_000, " " * 1_000_000])
def test_a_hostile_body_is_read_once(sent: str) -> None:
    """A second time for each quote would take hours."""
    limits = BodyLimits(2_000_000, 10)

    assert limits.has_too_many_values(("," * 11 + sent).encode())
    assert not limits.has_too_many_values((sent + '"' + "," * 11).encode()[:1_000_000])


async def test_a_json_body_of_many_values_is_refused(client: AsyncClient) -> None:
    body = json.dumps({str(number): 1 for number in range(1001)})

    refused = await client.post("/strict", content=body, headers=JSON)
    other = await client.post("/size", content=body, headers={"Content-Type": "text/csv"})

    assert refused.status_code == 413
    assert refused.json()["detail"] == "A JSON body has at most 1000 values."
    assert other.json() == len(body)


@pytest.mark.parametrize(
    ("parts", "status"),
    [
        ([b"[" + b"1," * 600, b"1," * 600 + b"1]"], 413),
        ([b'["' + b"," * 600, b"," * 600 + b'", "\\', b'"' + b"," * 600 + b'"]'], 422),
    ],
)
async def test_a_body_in_parts_is_counted_as_one(
    client: AsyncClient, parts: list[bytes], status: int
) -> None:
    async def content() -> AsyncIterator[bytes]:
        for part in parts:
            yield part

    answer = await client.post("/strict", content=content(), headers=JSON)

    assert answer.status_code == status


async def test_an_answer_does_not_grow_with_the_errors(client: AsyncClient) -> None:
    body = {f"{number:05}" + "a" * 200: 1 for number in range(100)}

    answer = await client.post("/strict", json=body)

    assert answer.status_code == 422
    assert len(answer.json()["errors"]) == 20
    assert answer.json()["detail"].endswith("The first 20 of 100 errors are here.")
    assert len(answer.content) < 5000


class TestSlow:
    """With a deadline that is soon over."""

    @pytest.fixture(autouse=True)
    def _limits(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("REQUEST_DEADLINE", "1.0")

    async def test_a_body_that_stays_away_is_a_408(self, client: AsyncClient) -> None:
        async def parts() -> AsyncIterator[bytes]:
            yield b"a"
            await asyncio.sleep(60)

        answer = await client.post("/size", content=parts())

        assert answer.status_code == 408
        assert answer.headers["connection"] == "close"

    async def test_an_answer_that_stays_away_is_a_504(
        self, app: FastAPI, client: AsyncClient
    ) -> None:
        @app.post("/slow")
        async def slow(request: Request) -> None:
            await request.body()
            await asyncio.sleep(60)

        assert (await client.post("/slow", content=b"a")).status_code == 504


async def test_all_bodies_together_are_limited(app: FastAPI, client: AsyncClient) -> None:
    arrived = asyncio.Semaphore(0)
    go = asyncio.Event()

    @app.post("/wait")
    async def wait(request: Request) -> None:
        await request.body()
        arrived.release()
        await go.wait()

    large, small = b"a" * LIMIT, b"a" * SMALL
    async with asyncio.TaskGroup() as group:
        waiting = [group.create_task(client.post("/wait", content=large)) for _ in range(AT_ONCE)]
        for _ in range(AT_ONCE):
            await arrived.acquire()
        refused = await client.post("/size", content=large)
        answered = await client.post("/size", content=small)
        go.set()

    assert refused.status_code == 503
    assert refused.headers["retry-after"] == "1"
    assert answered.status_code == 200
    assert {task.result().status_code for task in waiting} == {200}
    assert (await client.post("/size", content=large)).status_code == 200  # all are gone
