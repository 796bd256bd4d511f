"""What the tests need to know of the process pool."""

import pytest

from app import process_pool


@pytest.fixture(autouse=True)
def processes_when_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start no processes: most tests need none. Those that do override this fixture."""
    monkeypatch.setattr(process_pool, "warm_up", lambda *_: None)
