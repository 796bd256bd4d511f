"""Settings: read from the environment, refused when they make no sense."""

import pytest
from httpx2 import AsyncClient
from pydantic import ValidationError
from pydantic_settings import BaseSettings

from app.settings import Settings


def test_the_environment_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_READ_POOL", "9")

    assert Settings().database_read_pool == 9


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "sqlite:///data.db"),  # a driver that would block the event loop
        ("DATABASE_URL", "sqlite+aiosqlite:///"),
        ("DATABASE_URL", "sqlite+aiosqlite:///:memory:"),  # each connection would have its own
        ("DATABASE_URL", ""),
        ("DATABASE_READ_POOL", "0"),  # SQLAlchemy would take it for "no limit"
        ("DATABASE_TIMEOUT", "nan"),
        ("DATABASE_TIMEOUT", "-1"),
        ("LOG_LEVEL", "LOUD"),
    ],
)
def test_what_makes_no_sense_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(ValidationError, match=name.lower()):
        Settings()


async def test_a_request_reads_none(client: AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("settings were read again")

    monkeypatch.setattr(BaseSettings, "__init__", refuse)

    for path in ("/health/live", "/health/ready", "/openapi.json"):
        assert (await client.get(path)).status_code == 200
