"""What is not forgotten, and what is not kept."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from threading import Barrier, BrokenBarrierError
from typing import Any

import pytest
from sqlalchemy import event

from app.database.sync import SyncDatabase
from app.jobs.kinds import Queue
from app.jobs.models import now
from app.jobs.settings import TaskSettings
from app.jobs.sweep import BATCH, clean_up, sweep, tell_published
from tests.jobs.conftest import MakeJob, Row

MINUTE = timedelta(minutes=1)
DEAD, ALIVE = {"token": "dead"}, {"token": "alive"}


@pytest.fixture
def settings_of_tasks() -> TaskSettings:
    return TaskSettings()


class Broker:
    """Takes jobs; what it has in its queues is told, not kept."""

    def __init__(self, *, empty: bool = False, fails_after: int = 1000) -> None:
        self.published: list[int] = []
        self.queues: set[Queue] = set()
        self.empty = empty
        self.fails_after = fails_after

    def publish(self, job_id: int, queue: Queue) -> None:
        if len(self.published) >= self.fails_after:
            raise ConnectionError
        self.published.append(job_id)
        self.queues.add(queue)

    def is_empty(self, _: Queue) -> bool:
        return self.empty


def test_what_was_never_handed_over_is_published_and_not_what_waits(
    sync: SyncDatabase, make_job: MakeJob, row: Row, settings_of_tasks: TaskSettings
) -> None:
    old = now() - 10 * MINUTE
    never = make_job(run_at=old)
    lost_its_worker = make_job(state="running", run_at=old, lease_until=now() - MINUTE, **DEAD)
    make_job()  # whoever made it hands it over
    make_job(run_at=now() + MINUTE)
    make_job(run_at=old, published_at=now() - 5 * MINUTE)
    make_job(state="running", run_at=old, lease_until=now() + MINUTE, **ALIVE)
    make_job(state="done", run_at=old)
    lost = make_job(run_at=old, published_at=now() - 60 * MINUTE)
    broker = Broker()

    assert sweep(sync, settings_of_tasks, broker.publish, broker.is_empty) == 3

    assert sorted(broker.published) == sorted([never, lost_its_worker, lost])
    for job_id in broker.published:
        assert (row(job_id)["state"], row(job_id)["token"]) == ("waiting", None)
        assert row(job_id)["published_at"] is not None
    assert sweep(sync, settings_of_tasks, broker.publish, broker.is_empty) == 0


def test_what_waits_while_its_queue_is_empty_is_published(
    sync: SyncDatabase, make_job: MakeJob, add_kind: object, settings_of_tasks: TaskSettings
) -> None:
    assert callable(add_kind)
    add_kind(queue="long")
    lost = make_job(published_at=now() - MINUTE)
    make_job(published_at=now())  # on its way from the queue to a worker
    broker = Broker(empty=True)

    assert sweep(sync, settings_of_tasks, broker.publish, broker.is_empty) == 1

    assert (broker.published, broker.queues) == ([lost], {"long"})


def test_there_may_be_two_reasons(
    sync: SyncDatabase, make_job: MakeJob, add_kind: object, settings_of_tasks: TaskSettings
) -> None:
    assert callable(add_kind)
    add_kind(queue="quick")
    lost = make_job(published_at=now() - 60 * MINUTE)
    broker = Broker(empty=True)

    assert sweep(sync, settings_of_tasks, broker.publish, broker.is_empty) == 1

    assert broker.published == [lost]


def test_the_longer_the_queue_the_longer_the_patience(
    sync: SyncDatabase, make_job: MakeJob, settings_of_tasks: TaskSettings
) -> None:
    make_job(published_at=now() - 15 * MINUTE)
    for _ in range(999):
        make_job(published_at=now())
    broker = Broker()

    assert sweep(sync, settings_of_tasks, broker.publish, broker.is_empty) == 0
    lost = make_job(published_at=now() - 25 * MINUTE)
    assert sweep(sync, settings_of_tasks, broker.publish, broker.is_empty) == 1
    assert broker.published == [lost]


def test_who_dies_while_it_sweeps_leaves_jobs_to_be_published(
    sync: SyncDatabase, make_job: MakeJob, settings_of_tasks: TaskSettings
) -> None:
    old = now() - MINUTE
    lost = {"state": "running", "run_at": old, "published_at": old, "lease_until": old}
    jobs = [make_job(run_at=old), make_job(**lost, **DEAD)]
    broker = Broker()

    def die(*_: object) -> None:
        raise SystemExit

    with pytest.raises(SystemExit):
        sweep(sync, settings_of_tasks, die, broker.is_empty)

    assert sweep(sync, settings_of_tasks, broker.publish, broker.is_empty) == 2
    assert sorted(broker.published) == jobs


def test_what_the_broker_does_not_take_stays_to_be_published(
    sync: SyncDatabase, make_job: MakeJob, row: Row, settings_of_tasks: TaskSettings
) -> None:
    jobs = [make_job(run_at=now() - MINUTE) for _ in range(3)]
    broker = Broker(fails_after=1)

    assert sweep(sync, settings_of_tasks, broker.publish, broker.is_empty) == 1

    assert sorted(row(job_id)["published_at"] is None for job_id in jobs) == [False, True, True]


def test_what_has_failed_meanwhile_does_not_count_as_published(
    sync: SyncDatabase, make_job: MakeJob, row: Row
) -> None:
    new, failed = make_job(), make_job(attempts=1)

    tell_published(sync, [(new, 0), (failed, 0)])

    assert row(new)["published_at"] is not None
    assert row(failed)["published_at"] is None


def test_a_run_is_bounded(
    sync: SyncDatabase, make_job: MakeJob, settings_of_tasks: TaskSettings
) -> None:
    for _ in range(BATCH):
        make_job(run_at=now() - MINUTE)
    make_job(published_at=now() - 60 * MINUTE)
    broker = Broker()

    assert sweep(sync, settings_of_tasks, broker.publish, broker.is_empty) == BATCH


def test_only_what_finished_long_ago_is_deleted(
    sync: SyncDatabase, make_job: MakeJob, row: Row
) -> None:
    ago = now() - timedelta(days=8)
    for _ in range(BATCH + 1):
        make_job(state="done", finished_at=ago)
    make_job(state="failed", finished_at=ago)
    kept = [
        make_job(state="done", finished_at=now()),
        make_job(created_at=ago, run_at=ago),
        make_job(state="running", created_at=ago, lease_until=now()),
    ]

    assert clean_up(sync, TaskSettings()) == BATCH + 2

    assert [row(job_id)["id"] for job_id in kept] == kept


def test_two_that_clean_up_at_once_do_not_get_in_each_others_way(
    sync: SyncDatabase, make_job: MakeJob
) -> None:
    for _ in range(20):
        make_job(state="done", finished_at=now() - timedelta(days=8))
    looked = Barrier(2)

    @event.listens_for(sync.engine, "after_cursor_execute")
    def both_look_before_one_deletes(*about: Any) -> None:
        if str(about[2]).startswith("SELECT jobs.id"):
            with suppress(BrokenBarrierError):  # where the other one has to wait for the first
                looked.wait(0.5)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: clean_up(sync, TaskSettings()), range(2)))

    assert clean_up(sync, TaskSettings()) == 0
