"""What the tests need to know of jobs."""

import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from app.database.roads import get_reads, get_session
from app.idempotency import get_key


@pytest.fixture(autouse=True)
def jobs_stay(_no_settings_of_the_machine: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the service run jobs itself, those that it is told of only: no test waits for the sweep."""
    monkeypatch.setenv("TASKS_EMBEDDED", "yes")
    monkeypatch.setenv("TASKS_SWEEP_EVERY", "3600")


@pytest.fixture
def anybody_may_ask(app: FastAPI) -> None:
    """Leave out what the service's owner guards the routes of jobs with."""
    for route in iter_route_contexts(app.routes):
        if (route.path or "").startswith("/jobs"):
            for needed in route.dependant.dependencies:
                if needed.call not in (get_reads, get_session, get_key):
                    app.dependency_overrides[needed.call] = lambda: None
