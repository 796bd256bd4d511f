"""Settings: read from the environment, refused when they make no sense."""

import re
from pathlib import Path
from threading import current_thread, main_thread
from typing import Any

import pytest
from httpx2 import AsyncClient
from pydantic import ValidationError
from pydantic_settings import BaseSettings

from app.database import DatabaseSettings
from app.guard import GuardSettings
from app.main import create_app
from app.settings import ServiceSettings, Settings

EXAMPLE = Path(__file__).parent.parent / ".env.example"


def all_settings() -> list[type[BaseSettings]]:
    """Return the classes of all settings that the service reads."""
    found: list[type[BaseSettings]] = [ServiceSettings]
    for owner in found:
        found += [each for each in owner.__subclasses__() if each.__module__.startswith("app.")]
    return [owner for owner in found if not owner.__subclasses__()]


def variables(settings: type[BaseSettings]) -> set[str]:
    """Return the names of the variables that a class of settings reads."""
    prefix = settings.model_config["env_prefix"]
    fields = settings.model_fields.items()
    return {str(field.validation_alias or f"{prefix}{name}").upper() for name, field in fields}


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
        ("DATABASE_SLOW", "nan"),
        ("DATABASE_URL", "mongodb://127.0.0.1/app"),
        ("DATABASE_URL", f"{DatabaseSettings.model_fields['url'].default}?nonsense=1"),
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


def test_all_lines_of_the_example_hold_at_once(tmp_path: Path) -> None:
    lines, count = re.subn(r"^# (?=[A-Z_]+=)", "", EXAMPLE.read_text("utf-8"), flags=re.MULTILINE)
    (tmp_path / ".env").write_text(lines, "utf-8")

    create_app()
    for settings in all_settings():
        settings()

    assert count > 10


def test_a_new_line_at_the_end_is_no_part_of_a_value(monkeypatch: pytest.MonkeyPatch) -> None:
    url = DatabaseSettings.model_fields["url"].default
    monkeypatch.setenv("DATABASE_URL", f"{url}\n")

    assert DatabaseSettings().url == url


def test_an_empty_variable_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for settings in all_settings():
        for variable in variables(settings):
            monkeypatch.setenv(variable, "")

    for settings in all_settings():
        assert settings() == settings.model_construct()


@pytest.mark.parametrize(
    ("name", "value", "names"),
    [
        ("ALLOWED_HOSTS", "a.example, *.b.example", ["a.example", "*.b.example"]),
        ("ALLOWED_HOSTS", '["a.example", "*.b.example"]', ["a.example", "*.b.example"]),
        ("ALLOWED_HOSTS", "A.Example,[::1],127.0.0.1\n", ["a.example", "[::1]", "127.0.0.1"]),
        ("CORS_ORIGINS", '["https://a.example"]', ["https://a.example"]),
        ("CORS_ORIGINS", "https://A.example,http://b:8000", ["https://a.example", "http://b:8000"]),
        ("CORS_ORIGINS", "*", ["*"]),
        ("CORS_ORIGINS", "[]", []),
    ],
)
def test_names_are_separated_by_commas_or_a_json_list(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, names: list[str]
) -> None:
    monkeypatch.setenv(name, value)

    assert getattr(GuardSettings(), name.lower()) == names


NO_HOSTS = [
    "https://a.example",
    "a.example:8000",
    "a.example/",
    "['a.example']",
    '["a.example"',
    "a.example b.example",
    "a.*",
    "b\u00fccher.example",
    ",",
    "[]",
]
NO_ORIGINS = [
    "a.example",
    "https://a.example/",
    "https://a.example/page",
    "https://a.example:443",
    "http://a.example:80",
    "https://*.a.example",
    "https://a.example;https://b.example",
    "['https://a.example']",
]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("ALLOWED_HOSTS", value) for value in NO_HOSTS),
        *(("CORS_ORIGINS", value) for value in NO_ORIGINS),
    ],
)
def test_names_that_no_request_can_match_are_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(ValidationError, match=name.lower()):
        GuardSettings()


async def test_a_request_reads_none(client: AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    original = BaseSettings.__init__

    def refuse(self: BaseSettings, *values: Any, **more: Any) -> None:
        if current_thread() is main_thread():  # others may still be starting
            raise AssertionError("settings were read again")
        original(self, *values, **more)

    monkeypatch.setattr(BaseSettings, "__init__", refuse)

    for path in ("/health/live", "/health/ready", "/openapi.json"):
        assert (await client.get(path)).status_code == 200
