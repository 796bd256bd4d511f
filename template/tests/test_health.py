"""Liveness and readiness."""

import asyncio
import logging
from math import inf
from time import monotonic

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient
from sqlalchemy import MetaData, Table

from app import health
from app.database import (
    TABLES,
    Base,
    Database,
    DatabaseSettings,
    Reads,
    UnavailableError,
)
from app.database.gate import Gate
from tests.waiting import HANG


async def test_a_running_service_is_live_and_ready(client: AsyncClient) -> None:
    assert (await client.get("/health/live")).json() == {"status": "ok"}
    assert (await client.get("/health/ready")).json() == {"status": "ok"}


async def test_without_migration_it_is_not_ready(
    client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    Table("needed", metadata := MetaData())
    monkeypatch.setattr(Base, "metadata", metadata)

    response = await client.get("/health/ready")

    assert response.status_code == 503
    assert response.json()["detail"] == "The database has not been migrated."


class TestBusy:
    """All connections are taken, and others wait."""

    @pytest.fixture(params=[0, 500])
    async def full(
        self,
        request: pytest.FixtureRequest,
        state: dict[str, Database],
        monkeypatch: pytest.MonkeyPatch,
    ) -> Gate:
        full = Gate(1, queue=request.param, timeout=2 * HANG)
        await full.enter()
        reads = state["database"].reads
        await reads.all(TABLES)
        full.answered = reads.gate.answered
        monkeypatch.setattr(reads, "gate", full)
        monkeypatch.setattr(health, "READY_TIMEOUT", 0.2)
        monkeypatch.setattr(health, "RECENT", HANG)
        return full

    async def test_a_busy_service_stays_ready(self, client: AsyncClient, full: Gate) -> None:
        async with asyncio.timeout(HANG):
            assert (await client.get("/health/ready")).status_code == 200
        assert full.waiting == 0  # a probe is answered at once, not when it is its turn

    async def test_one_that_waits_for_a_silent_database_does_not(
        self, client: AsyncClient, full: Gate, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(health, "RECENT", 0.0)

        response = await client.get("/health/ready")

        assert response.status_code == 503
        assert response.json()["detail"] == "The database does not answer."

    @pytest.mark.parametrize("full", [500], indirect=True)
    async def test_an_answer_to_another_meanwhile_is_one(
        self,
        client: AsyncClient,
        full: Gate,
    ) -> None:
        full.answered = -inf
        asyncio.get_running_loop().call_later(0.1, setattr, full, "answered", monotonic())

        assert (await client.get("/health/ready")).status_code == 200


class TestWithoutDatabase:
    @pytest.fixture
    def settings(self, settings: DatabaseSettings, nowhere: str) -> DatabaseSettings:
        return settings.model_copy(update={"url": nowhere})

    async def test_it_is_live_but_not_ready(self, client: AsyncClient) -> None:
        assert (await client.get("/health/live")).status_code == 200

        response = await client.get("/health/ready")

        assert response.status_code == 503
        assert response.json()["detail"] == "The database does not answer."

    async def test_the_log_is_told_why_and_not_by_each_request(
        self,
        app: FastAPI,
        client: AsyncClient,
        caplog: pytest.LogCaptureFixture,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        @app.get("/tables")
        async def count_tables(reads: Reads) -> int:
            return len(await reads.all(TABLES))

        monkeypatch.setattr(UnavailableError, "logged", -inf)
        answers = [await client.get("/tables") for _ in range(5)]

        assert [answer.status_code for answer in answers] == [503] * 5
        (record,) = [record for record in caplog.records if record.exc_info]
        assert record.levelno == logging.WARNING
