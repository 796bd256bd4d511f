"""A service of its own for every test, on an empty database."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from httpx2 import ASGITransport, AsyncClient
from pydantic_settings import BaseSettings
from sqlalchemy import Connection, event
from sqlalchemy.engine.interfaces import DBAPICursor
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.types import Receive, Scope, Send

from app.database import Base, create_write_engine
from app.main import create_app
from app.settings import Settings

Statements = list[str]


def record_statements(engine: AsyncEngine) -> Statements:
    """Return a list that grows by every statement that the engine sends from now on."""
    statements: Statements = []

    @event.listens_for(engine.sync_engine, "before_cursor_execute")
    def record(
        connection: Connection, cursor: DBAPICursor, statement: str, *arguments: object
    ) -> None:
        statements.append(statement)

    return statements


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def _no_settings_of_the_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep a developer's environment and `.env` out of the tests."""
    monkeypatch.chdir(tmp_path)
    for owner in BaseSettings.__subclasses__():
        for field in owner.model_fields:
            monkeypatch.delenv(f"{owner.model_config['env_prefix']}{field}".upper(), raising=False)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(database_url=f"sqlite+aiosqlite:///{tmp_path}/test.db")


@pytest.fixture
def app(settings: Settings) -> FastAPI:
    return create_app(settings)


@pytest.fixture
async def tables(settings: Settings) -> None:
    engine = create_write_engine(settings.database_url, timeout=5)
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    await engine.dispose()


@pytest.fixture
async def client(app: FastAPI, tables: None) -> AsyncIterator[AsyncClient]:
    """A client of the running service."""
    async with app.router.lifespan_context(app) as state:

        async def serve(scope: Scope, receive: Receive, send: Send) -> None:
            await app({**scope, "state": dict(state or {})}, receive, send)

        async with AsyncClient(transport=ASGITransport(serve), base_url="http://test") as client:
            yield client
