"""Settings: read from the environment, refused at the start when they make no sense."""

import pytest
from fastapi import FastAPI
from pydantic import ValidationError

from app.main import create_app
from app.settings import Settings


def test_the_environment_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_READ_POOL", "9")

    assert Settings().database_read_pool == 9


@pytest.mark.parametrize("url", ["sqlite:///data.db", "sqlite+aiosqlite://", "data.db", ""])
def test_a_database_without_its_driver_is_refused(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("DATABASE_URL", url)

    with pytest.raises(ValidationError, match=r"must begin with sqlite\+aiosqlite:///"):
        Settings()


def test_they_are_read_once(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("settings were read again")

    monkeypatch.setattr(Settings, "__init__", refuse)

    assert isinstance(create_app(settings), FastAPI)
