"""Jobs as clients see them, run by the service itself."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient

from app.database import WriteSession
from app.jobs.kinds import Kind, Queue, all_kinds
from app.jobs.outbox import enqueue
from tests.jobs.asked import finished
from tests.jobs.kinds import Words, echo
from tests.waiting import HANG

pytestmark = pytest.mark.usefixtures("anybody_may_ask")

Add = Callable[..., None]


async def test_a_job_runs_to_its_end(add_kind: Add, client: AsyncClient) -> None:
    add_kind()
    asked = await client.post("/jobs", json={"kind": "test", "arguments": {"word": "milk"}})

    assert asked.status_code == 202
    assert asked.json()["state"] == "waiting"
    assert asked.headers["location"] == f"/jobs/{asked.json()['id']}"
    job = await finished(client, asked.headers["location"])
    assert (job.state, job.progress, job.attempts) == ("done", 1.0, 1)
    assert job.result == {"word": "milk"}


async def test_how_far_it_is_can_be_asked(add_kind: Add, client: AsyncClient) -> None:
    half, go_on = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def wait(work: Any, _: Words) -> None:
        work.progress(0.5)
        loop.call_soon_threadsafe(half.set)
        asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result(HANG)

    add_kind(wait)
    asked = await client.post("/jobs", json={"kind": "test"})
    async with asyncio.timeout(HANG):
        await half.wait()

    job = (await client.get(asked.headers["location"])).json()
    assert (job["state"], job["progress"]) == ("running", 0.5)
    go_on.set()
    assert (await finished(client, asked.headers["location"])).state == "done"


async def test_what_is_rolled_back_tells_nobody(
    add_kind: Add, app: FastAPI, client: AsyncClient, nudged: list[tuple[int, Queue]]
) -> None:
    add_kind()

    @app.post("/both")
    async def both(session: WriteSession, fail: bool) -> int:
        job = await enqueue(session, all_kinds()["test"], Words())
        assert not nudged  # not before the commit
        if fail:
            raise LookupError
        return job.id

    assert (await client.post("/both?fail=true")).status_code == 500
    assert nudged == []

    answer = await client.post("/both?fail=false")
    assert nudged == [(answer.json(), "quick")]
    assert (await client.get(f"/jobs/{answer.json()}")).json()["state"] == "waiting"


async def test_what_is_not_a_job_is_refused(add_kind: Add, client: AsyncClient) -> None:
    add_kind()

    unknown = await client.post("/jobs", json={"kind": "unknown"})
    assert unknown.status_code == 422
    assert unknown.json()["detail"] == "There is no such kind of job."

    wrong = await client.post("/jobs", json={"kind": "test", "arguments": {"word": ["secret"]}})
    assert wrong.status_code == 422
    assert wrong.json()["errors"][0]["loc"] == ["body", "arguments", "word"]
    assert "secret" not in wrong.text


async def test_a_kind_is_for_clients_only_where_it_says_so(
    add_kind: Add, app: FastAPI, client: AsyncClient, nudged: list[tuple[int, Queue]]
) -> None:
    @app.post("/inside")
    async def inside(session: WriteSession) -> int:
        return (await enqueue(session, all_kinds()["test"], Words())).id

    add_kind(public=False)
    refused = await client.post("/jobs", json={"kind": "test"})
    started = (await client.post("/inside")).json()

    assert (refused.status_code, refused.json()["detail"]) == (422, "There is no such kind of job.")
    assert nudged == [(started, "quick")]
    assert (await client.get(f"/jobs/{started}")).status_code == 404
    assert not Kind("any", echo, Words).public


async def test_a_job_that_is_not_there_is_a_404(client: AsyncClient) -> None:
    assert (await client.get("/jobs/7")).status_code == 404
    assert (await client.get("/jobs/0")).status_code == 422
