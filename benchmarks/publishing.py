"""Measure for how long handing over a job holds the event loop: `make bench` runs this.

Celery's own `send_task`, as a route would call it, against the publisher's `nudge`, which
leaves the same to a thread. Each on a private Redis and RabbitMQ; microseconds a job.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from statistics import median, quantiles

ROOT = Path(__file__).parent.parent
JOBS = 500

# In the project's own environment, with BROKER_URL set.
MEASURE = f"""
from time import perf_counter

from app.jobs.settings import TaskSettings
from app.tasks.broker import RUN, Sender, new_celery
from app.tasks.publisher import Publisher

settings = TaskSettings()
celery = new_celery(settings)
sender = Sender(celery, settings)
publisher = Publisher(settings, sender)
sender.send(1, "quick")  # it connects
for name, publish in (
    ("send_task", lambda: celery.send_task(RUN, args=[1], queue="quick")),
    ("nudge", lambda: publisher.nudge(1, "quick")),
):
    for _ in range({JOBS}):
        began = perf_counter()
        publish()
        print(name, perf_counter() - began)
"""


def main() -> None:
    """Measure and print."""
    sys.path.insert(0, str(ROOT))
    from tests.harness.servers import rabbitmq, redis, url_of  # noqa: PLC0415  (found from here only)

    for kind, run in (("redis", redis), ("rabbitmq", rabbitmq)):
        project = ROOT / "build" / f"publishing-{kind}"
        shutil.rmtree(project, ignore_errors=True)
        new = [Path(sys.executable).parent / "fastperf", "new", project, "--yes", "--no-git"]
        answers = ["-d", "tasks=celery", "-d", f"broker={kind}"]
        subprocess.run([*new, *answers], check=True, capture_output=True)
        with run() as broker:
            printed = subprocess.run(
                [project / ".venv/bin/python", "-c", MEASURE],
                cwd=project,
                env={**os.environ, "BROKER_URL": url_of(broker, "0")},
                check=True,
                capture_output=True,
                text=True,
            ).stdout
        taken: dict[str, list[float]] = {}
        for line in printed.splitlines():
            name, seconds = line.split()
            taken.setdefault(name, []).append(float(seconds) * 1_000_000)
        for name, times in taken.items():
            print(
                f"{kind:9} {name:10} {median(times):6.1f} us, p99 {quantiles(times, n=100)[98]:.0f}"
            )


if __name__ == "__main__":
    main()
