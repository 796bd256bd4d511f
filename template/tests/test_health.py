"""Liveness and readiness."""

from pathlib import Path

import pytest
from httpx2 import AsyncClient
from sqlalchemy import MetaData, Table

from app.database import Base
from app.settings import Settings


async def test_a_running_service_is_live_and_ready(client: AsyncClient) -> None:
    assert (await client.get("/health/live")).json() == {"status": "ok"}
    assert (await client.get("/health/ready")).json() == {"status": "ok"}


class TestWithoutMigration:
    @pytest.fixture
    def tables(self) -> None:
        return None

    async def test_it_is_not_ready(
        self, client: AsyncClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        Table("needed", metadata := MetaData())
        monkeypatch.setattr(Base, "metadata", metadata)

        response = await client.get("/health/ready")

        assert response.status_code == 503
        assert response.json()["detail"] == "The database has not been migrated."


class TestWithoutDatabase:
    @pytest.fixture
    def settings(self, settings: Settings, tmp_path: Path) -> Settings:
        url = f"sqlite+aiosqlite:///{tmp_path}/missing/test.db"
        return settings.model_copy(update={"database_url": url})

    @pytest.fixture
    def tables(self) -> None:
        return None

    async def test_it_is_live_but_not_ready(self, client: AsyncClient) -> None:
        assert (await client.get("/health/live")).status_code == 200

        response = await client.get("/health/ready")

        assert response.status_code == 503
        assert response.json()["detail"] == "The database does not answer."
