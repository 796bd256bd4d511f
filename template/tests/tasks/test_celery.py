"""What a worker does with a message."""

from importlib import import_module
from typing import Any

import pytest
from celery.exceptions import Reject
from sqlalchemy import make_url
from sqlalchemy.exc import DBAPIError, InternalError, OperationalError, ProgrammingError

from app.database.verdicts import Verdict
from app.settings import Settings
from app.tasks import liveness


@pytest.fixture
def worker(scheme: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("BROKER_URL", f"{scheme}://127.0.0.1:1//")
    worker: Any = import_module("app.tasks.celery")
    monkeypatch.setattr(worker, "PAUSE", 0.1)
    return worker


def failing(error: Exception) -> Any:
    class Runner:
        def run(self, job_id: int) -> None:
            raise error

    return Runner


@pytest.mark.parametrize("error", [OperationalError, InternalError])
def test_without_its_database_it_leaves_the_message_to_others(
    worker: Any, monkeypatch: pytest.MonkeyPatch, error: type[DBAPIError]
) -> None:
    """Where it is away, or a replica that takes no writes."""
    monkeypatch.setattr(worker, "judge", lambda _: Verdict.MOVED)
    monkeypatch.setattr(worker, "runner", failing(error("UPDATE jobs", {}, OSError())))

    with pytest.raises(Reject) as rejected:
        worker.run(7)

    assert rejected.value.requeue


def test_a_bug_is_no_reason_to_try_again_for_ever(
    worker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        worker, "runner", failing(ProgrammingError("UPDATE jobs", {}, Exception("a bug")))
    )

    with pytest.raises(ProgrammingError):
        worker.run(7)


def test_a_worker_whose_driver_refuses_the_url_does_not_live(
    worker: Any, monkeypatch: pytest.MonkeyPatch, database_url: str
) -> None:
    watched: list[object] = []
    monkeypatch.setattr(liveness, "watch", watched.append)
    monkeypatch.setattr(worker, "all_parts", list)
    url = make_url(database_url).update_query_dict({"nonsense": "1"})
    monkeypatch.setenv("DATABASE_URL", url.render_as_string(hide_password=False))

    with pytest.raises(SystemExit, match="DATABASE_URL"):
        worker.begin()

    assert not watched


def test_one_whose_database_is_away_waits_for_it(
    worker: Any, monkeypatch: pytest.MonkeyPatch, nowhere: str
) -> None:
    watched: list[object] = []
    monkeypatch.setattr(liveness, "watch", watched.append)
    monkeypatch.setattr(worker, "all_parts", list)
    monkeypatch.setenv("DATABASE_URL", nowhere)

    worker.begin()

    assert watched


def test_a_worker_ends_when_settings_of_a_part_are_refused(
    worker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Part:
        @staticmethod
        def before_fork(_: object) -> None:
            monkeypatch.setenv("LOG_LEVEL", "LOUD")
            Settings()

    monkeypatch.setattr(worker, "check_database", lambda: None)
    monkeypatch.setattr(worker, "all_parts", lambda: [Part])
    monkeypatch.setattr(liveness, "watch", lambda _: None)

    with pytest.raises(SystemExit, match="log_level"):  # Celery would go on after any other error
        worker.begin()
