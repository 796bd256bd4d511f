"""Liveness and readiness."""

import asyncio

import pytest
from httpx2 import AsyncClient
from sqlalchemy import MetaData, Table

from app.database import Base, Database, DatabaseSettings
from app.database.gate import Gate


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


async def test_a_busy_service_stays_ready(
    client: AsyncClient, state: dict[str, Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    full = Gate(1, queue=0, timeout=1)
    await full.enter()
    monkeypatch.setattr(state["database"].reads, "gate", full)

    async with asyncio.timeout(1):
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
