"""What the tests need to know of jobs."""

import pytest


@pytest.fixture(autouse=True)
def jobs_stay(_no_settings_of_the_machine: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the service run jobs itself, those that it is told of only: no test waits for the sweep."""
    monkeypatch.setenv("TASKS_EMBEDDED", "yes")
    monkeypatch.setenv("TASKS_SWEEP_EVERY", "3600")
