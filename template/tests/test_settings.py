"""Settings: read from the environment, refused when they make no sense."""

from threading import current_thread, main_thread

import pytest
from httpx2 import AsyncClient
from pydantic import ValidationError
from pydantic_settings import BaseSettings

from app.database import DatabaseSettings
from app.settings import Settings


def test_the_environment_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_READ_POOL", "9")

    assert DatabaseSettings().read_pool == 9


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_READ_POOL", "0"),  # SQLAlchemy would take it for "no limit"
        ("DATABASE_TIMEOUT", "nan"),
        ("DATABASE_TIMEOUT", "-1"),
        ("DATABASE_QUEUE", "-1"),
        ("LOG_LEVEL", "LOUD"),
        ("DRAIN_SECONDS", "-1"),
    ],
)
def test_what_makes_no_sense_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(ValidationError, match=name.lower().removeprefix("database_")):
        (DatabaseSettings if name.startswith("DATABASE_") else Settings)()


async def test_a_request_reads_none(client: AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    read = BaseSettings.__init__

    def refuse(settings: BaseSettings, **values: object) -> None:
        # Threads of the service may still be starting.
        assert current_thread() is not main_thread(), "settings were read again"
        read(settings, **values)  # type: ignore[arg-type]

    monkeypatch.setattr(BaseSettings, "__init__", refuse)

    for path in ("/health/live", "/health/ready", "/openapi.json"):
        assert (await client.get(path)).status_code == 200
