"""Who has a job."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from sqlalchemy import Connection, update

from app.database.sync import SyncDatabase
from app.jobs import claims
from app.jobs.claims import Claim, LostError
from app.jobs.models import Job, now
from tests.jobs.conftest import MakeJob, Row
from tests.waiting import HANG

LATER = timedelta(seconds=60)


def claim(sync: SyncDatabase, job_id: int) -> Claim | None:
    with sync.transaction() as connection:
        return claims.claim(connection, job_id, lease=30)


def test_a_claim_is_exclusive(sync: SyncDatabase, make_job: MakeJob, row: Row) -> None:
    job_id = make_job()
    together = Barrier(4)

    def try_it(_: int) -> Claim | None:
        together.wait(HANG)
        return claim(sync, job_id)

    with ThreadPoolExecutor(4) as pool:
        (taken,) = filter(None, pool.map(try_it, range(4)))

    assert (taken.attempt, row(job_id)["attempts"]) == (1, 1)
    assert row(job_id)["token"] == taken.token


def test_what_is_not_due_is_not_claimed(sync: SyncDatabase, make_job: MakeJob) -> None:
    assert claim(sync, make_job(attempts=1, run_at=now() + LATER)) is None


def test_a_new_job_is_due_whatever_the_clock_says(sync: SyncDatabase, make_job: MakeJob) -> None:
    assert claim(sync, make_job(run_at=now() + LATER))


@pytest.mark.parametrize("state", ["done", "failed"])
def test_what_is_finished_is_not_claimed(sync: SyncDatabase, make_job: MakeJob, state: str) -> None:
    assert claim(sync, make_job(state=state)) is None


def test_a_job_whose_lease_has_ended_is_anybodys(sync: SyncDatabase, make_job: MakeJob) -> None:
    dead = {"state": "running", "attempts": 1, "token": "dead", "progress": 0.5}
    lost = make_job(**dead, lease_until=now() - timedelta(seconds=1))
    alive = make_job(**dead, lease_until=now() + LATER)

    taken = claim(sync, lost)
    assert taken
    assert taken.attempt == 2
    assert claim(sync, alive) is None


def test_a_lease_can_be_renewed_and_lost(sync: SyncDatabase, make_job: MakeJob, row: Row) -> None:
    job_id = make_job()
    first = claim(sync, job_id)
    assert first
    with sync.transaction() as connection:
        claims.renew(connection, first, lease=90)
    assert row(job_id)["lease_until"] > now() + LATER
    with sync.transaction() as connection:
        connection.execute(update(Job).values(lease_until=now() - LATER))
    assert claim(sync, job_id)

    writes: list[Callable[[Connection], None]] = [
        lambda connection: claims.renew(connection, first, 30),
        lambda connection: claims.tell_progress(connection, first, 0.5),
        lambda connection: claims.finish(connection, first, None),
        lambda connection: claims.fail(connection, first, "error", None),
    ]
    for write in writes:
        with pytest.raises(LostError), sync.transaction() as connection:
            write(connection)
    assert row(job_id)["state"] == "running"
