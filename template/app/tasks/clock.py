"""The clock of sweep and clean-up, which shows that it goes."""

from typing import Any

from celery.beat import Scheduler

from app.tasks.liveness import CLOCK_FILE, EVERY


class Clock(Scheduler):  # type: ignore[misc]
    """Beat's scheduler; it touches its file each time that it looks what is due."""

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Send what is due, and return the seconds until it is to look again."""
        seconds: float = super().tick(*args, **kwargs)
        CLOCK_FILE.touch()
        return min(seconds, EVERY)
