"""What a worker does with a message."""

from importlib import import_module
from typing import Any

import pytest
from celery.exceptions import Reject
from sqlalchemy.exc import OperationalError


class Away:
    """A runner whose database does not answer."""

    def run(self, job_id: int) -> None:
        """Try to claim it."""
        raise OperationalError("UPDATE jobs", {"id": job_id}, OSError())


def test_without_its_database_it_leaves_the_message_to_others(
    scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BROKER_URL", f"{scheme}://127.0.0.1:1//")
    worker: Any = import_module("app.tasks.celery")
    monkeypatch.setattr(worker, "runner", Away)
    monkeypatch.setattr(worker, "PAUSE", 0)

    with pytest.raises(Reject) as rejected:
        worker.run(7)

    assert rejected.value.requeue
