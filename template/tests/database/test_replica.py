"""Reads from a replica, by route."""

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient
from sqlalchemy import literal, select

from app.database import DatabaseSettings, Query, Reads, ReplicaReads

ONE = Query(select(literal(1).label("one")))


@pytest.fixture
def app(app: FastAPI) -> FastAPI:
    @app.get("/primary")
    async def primary(reads: Reads) -> int:
        row = await reads.one(ONE)
        return row["one"] if row else 0

    @app.get("/replica")
    async def replica(reads: ReplicaReads) -> int:
        row = await reads.one(ONE)
        return row["one"] if row else 0

    return app


async def test_without_a_replica_the_primary_answers(client: AsyncClient) -> None:
    assert (await client.get("/replica")).json() == 1


class TestWithAReplicaThatIsDown:
    @pytest.fixture
    def settings(self, settings: DatabaseSettings) -> DatabaseSettings:
        down = settings.url.partition("://")[0] + "://app@127.0.0.1:1/app"
        return settings.model_copy(update={"read_url": down})

    async def test_only_its_own_routes_go_there(self, client: AsyncClient) -> None:
        assert (await client.get("/primary")).json() == 1
        assert (await client.get("/replica")).status_code == 503
