"""How a worker holds on to its broker."""

from typing import Any

from kombu.utils.imports import symbol_by_name

from app.jobs.settings import TaskSettings
from app.tasks.broker import SWEEPS, new_celery
from app.tasks.consumer import LONGEST, Consumer


class Away:
    """A connection to a broker that is away."""

    def __init__(self) -> None:
        self.asked: dict[str, Any] = {}

    def ensure_connection(self, *_: Any, **asked: Any) -> "Away":
        self.asked = asked
        return self


def test_a_worker_comes_back_within_seconds(scheme: str) -> None:
    celery = new_celery(TaskSettings(broker_url=f"{scheme}://"))
    consumer = Consumer.__new__(Consumer)
    consumer.app, consumer.first_connection_attempt = celery, True
    connection = Away()

    consumer.ensure_connected(connection)

    assert symbol_by_name(celery.conf.worker_consumer) is Consumer
    assert connection.asked["interval_max"] == LONGEST
    assert LONGEST < 5
    assert not celery.conf.broker_connection_max_retries


def test_a_sweep_does_not_wait_behind_jobs(scheme: str) -> None:
    schedule = new_celery(TaskSettings(broker_url=f"{scheme}://")).conf.beat_schedule

    assert [entry["options"]["queue"] for entry in schedule.values()] == [SWEEPS] * 2


def test_there_are_no_queues_that_nobody_uses() -> None:
    assert not [step for step in Consumer.Blueprint.default_steps if "delayed" in step]
