"""Whether a worker is alive, told by a file that it touches: `python -m app.tasks.liveness`.

`python -m app.tasks.liveness beat` tells it of the clock.

Not by the broker: while that is away a worker waits for it, and to restart it would cut off the
jobs that it runs. A worker whose loop stands still does not touch the file.
"""

import os
import sys
import tempfile
from pathlib import Path
from threading import Thread
from time import monotonic, sleep, time
from typing import Any

EVERY = 5.0  # seconds between two touches
STILL = 60.0  # seconds after which a loop, or a file, stands still

# Of each worker another one; a variable of the environment only, as the probe reads no settings.
FILE = Path(
    os.environ.get("TASKS_LIVENESS_FILE") or f"{tempfile.gettempdir()}/{os.getuid()}-worker-alive"
)
CLOCK_FILE = FILE.with_name(f"{FILE.name}-beat")


class Loop:
    """The loop that takes messages, as far as this knows of it."""

    def __init__(self) -> None:
        self.runs = False  # it does not while the broker is away
        self.turned = monotonic()

    def turn(self) -> None:
        """Take note that it goes round."""
        self.turned = monotonic()

    @property
    def stands_still(self) -> bool:
        """Whether it should go round and does not."""
        return self.runs and monotonic() - self.turned > STILL


loop = Loop()


def watch(celery: Any) -> None:
    """Touch the file from now on, as long as the worker's loop goes round or waits for the broker."""
    from celery import bootsteps  # noqa: PLC0415  (the probe is to start quickly)

    class Turning(bootsteps.StartStopStep):  # type: ignore[misc]
        requires = ("celery.worker.consumer.tasks:Tasks",)
        timer: Any = None  # it may be stopped before it was started

        def start(self, consumer: Any) -> None:
            loop.turn()
            loop.runs = True
            self.timer = consumer.timer.call_repeatedly(EVERY, loop.turn)

        def stop(self, consumer: Any) -> None:
            loop.runs = False
            if self.timer is not None:
                self.timer.cancel()

    celery.steps["consumer"].add(Turning)
    Thread(target=touch, daemon=True).start()


def touch() -> None:
    """Touch the file for ever."""
    while True:
        if not loop.stands_still:
            FILE.touch()
        sleep(EVERY)


def is_alive(file: Path | None = None) -> bool:
    """Tell whether the file, unless given the worker's, was touched lately."""
    try:
        return time() - (file or FILE).stat().st_mtime < STILL
    except FileNotFoundError:
        return False


if __name__ == "__main__":
    beat = sys.argv[1:] == ["beat"]
    sys.exit(0 if is_alive(CLOCK_FILE if beat else FILE) else "Its file is not touched.")
