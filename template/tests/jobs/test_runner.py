"""What comes of a job."""

import logging
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from json import loads
from threading import Event
from time import monotonic

import pytest
from sqlalchemy import update

from app.database.sync import SyncDatabase
from app.jobs import claims
from app.jobs.attempt import JobError, Work
from app.jobs.models import Job, now
from app.jobs.runner import Attempt, _random
from app.observability.logs import JSONFormatter
from tests.jobs.conftest import MakeJob, MakeRunner, Row
from tests.jobs.kinds import Words
from tests.waiting import HANG

PAST = timedelta(seconds=60)
BACKOFF = {"backoff": 10, "backoff_max": 35}


def write(work: Work, _: Words) -> None:
    """What a job writes: here, another job."""
    work.session.add(Job(kind="written", arguments={}))


def written(sync: SyncDatabase) -> int:
    with sync.sessions() as session:
        return session.query(Job).filter_by(kind="written").count()


def test_it_is_done_and_has_its_result(
    make_job: MakeJob, make_runner: MakeRunner, row: Row
) -> None:
    job_id = make_job(arguments={"word": "milk"})
    attempts: list[Attempt] = []
    runner = make_runner()
    runner.listeners.append(attempts.append)

    assert runner.run(job_id) == "done"

    job = row(job_id)
    assert (job["state"], job["progress"], job["result"]) == ("done", 1.0, {"word": "milk"})
    assert job["finished_at"]
    assert job["lease_until"] is None
    assert runner.run(job_id) is None  # a message that comes twice
    ((kind, outcome, waited),) = [(one.kind, one.outcome, one.waited) for one in attempts]
    assert (kind, outcome) == ("test", "done")
    assert waited is not None


def test_what_it_writes_and_that_it_is_done_are_one_transaction(
    sync: SyncDatabase,
    make_job: MakeJob,
    make_runner: MakeRunner,
    row: Row,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def die(*_: object) -> None:
        raise SystemExit

    job_id = make_job()
    with monkeypatch.context() as patch:
        patch.setattr(claims, "finish", die)
        with pytest.raises(SystemExit):
            make_runner(write).run(job_id)
    assert (row(job_id)["state"], written(sync)) == ("running", 0)

    with sync.transaction() as connection:  # its lease ends
        connection.execute(update(Job).values(lease_until=now() - PAST))
    assert make_runner(write).run(job_id) == "done"
    assert (row(job_id)["state"], written(sync)) == ("done", 1)


def test_who_has_lost_the_lease_writes_nothing(
    sync: SyncDatabase, make_job: MakeJob, make_runner: MakeRunner, row: Row
) -> None:
    job_id = make_job()

    def be_slow(work: Work, arguments: Words) -> None:
        with sync.transaction() as connection:
            connection.execute(update(Job).values(lease_until=now() - PAST))
        with sync.transaction() as connection:
            assert claims.claim(connection, job_id, lease=30)
        write(work, arguments)

    assert make_runner(be_slow).run(job_id) == "lost"

    assert written(sync) == 0
    assert (row(job_id)["state"], row(job_id)["attempts"]) == ("running", 2)


def test_a_lease_is_renewed_while_it_runs(
    make_job: MakeJob, make_runner: MakeRunner, row: Row
) -> None:
    job_id = make_job()
    until = []

    def be_slow(*_: object) -> None:
        first = row(job_id)["lease_until"]
        begun = monotonic()
        while row(job_id)["lease_until"] == first and monotonic() - begun < HANG:
            Event().wait(0.02)
        until.extend([first, row(job_id)["lease_until"]])

    assert make_runner(be_slow, lease=0.6).run(job_id) == "done"
    assert until[1] > until[0]


def test_a_failure_is_tried_again_later_and_in_the_end_has_failed(
    sync: SyncDatabase, make_job: MakeJob, make_runner: MakeRunner, row: Row
) -> None:
    def fail(*_: object) -> None:
        raise LookupError

    runner = make_runner(fail, **BACKOFF)
    job_id = make_job(published_at=now())
    for attempt in range(1, 5):
        assert runner.run(job_id) == "retried"
        job = row(job_id)
        assert (job["state"], job["attempts"], job["error"]) == ("waiting", attempt, "LookupError")
        assert job["published_at"] is None  # for the sweep, once it is due
        with sync.transaction() as connection:
            connection.execute(update(Job).values(run_at=now()))

    assert runner.run(job_id) == "failed"
    assert (row(job_id)["state"], row(job_id)["attempts"]) == ("failed", 5)


def test_those_that_failed_together_do_not_come_back_together(
    make_job: MakeJob, make_runner: MakeRunner, row: Row, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise LookupError

    asked: list[tuple[float, float]] = []

    def half_way(low: float, high: float) -> float:
        asked.append((low, high))
        return high / 2

    moment = now()
    monkeypatch.setattr(_random, "uniform", half_way)
    monkeypatch.setattr("app.jobs.runner.now", lambda: moment)
    runner = make_runner(fail, **BACKOFF)
    for attempts, bound in ((0, 10), (1, 20), (3, 35)):
        job_id = make_job(attempts=attempts)
        runner.run(job_id)
        run_at = row(job_id)["run_at"].replace(tzinfo=moment.tzinfo)
        assert asked.pop() == (0, bound)
        assert run_at == moment + timedelta(seconds=bound / 2)


def test_what_says_itself_that_it_is_useless_is_not_tried_again(
    make_job: MakeJob, make_runner: MakeRunner, row: Row
) -> None:
    def refuse(*_: object) -> None:
        raise JobError("There is no tea.", again=False)

    job_id = make_job()

    assert make_runner(refuse).run(job_id) == "failed"
    assert row(job_id)["error"] == "There is no tea."


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"kind": "gone"}, "There is no such kind of job any more."),
        ({"arguments": {"word": 7}}, "Its arguments are no longer valid."),
        ({"attempts": 5}, "The process that ran it has died each time."),
    ],
)
def test_what_can_never_run_has_failed(
    make_job: MakeJob,
    make_runner: MakeRunner,
    row: Row,
    values: dict[str, object],
    sentence: str,
) -> None:
    job_id = make_job(**values)

    assert make_runner().run(job_id) == "failed"
    assert row(job_id)["error"] == sentence
    assert row(job_id)["attempts"] == values.get("attempts", 1)  # no sixth of five


def test_what_only_ends_a_job_is_no_attempt_in_the_log(
    make_job: MakeJob, make_runner: MakeRunner, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")

    make_runner().run(make_job(attempts=5))

    (line,) = [record for record in caplog.records if record.message == "job"]
    assert vars(line)["attempt"] == 5


def test_one_that_takes_too_long_is_tried_again(
    make_job: MakeJob, make_runner: MakeRunner, row: Row, monkeypatch: pytest.MonkeyPatch
) -> None:
    def go_on(work: Work, _: Words) -> None:
        work.progress(0.1)
        monkeypatch.setattr("app.jobs.attempt.monotonic", lambda: monotonic() + 2 * HANG)
        work.progress(0.2)

    job_id = make_job()

    assert make_runner(go_on, soft_limit=HANG).run(job_id) == "retried"
    assert row(job_id)["error"] == "It took too long."


def test_an_error_tells_no_values(make_job: MakeJob, make_runner: MakeRunner, row: Row) -> None:
    def fail(*_: object) -> None:
        raise ValueError("secret")

    job_id = make_job()

    make_runner(fail).run(job_id)
    assert row(job_id)["error"] == "ValueError"


def test_progress_is_seen_at_once_and_begins_anew(
    make_job: MakeJob, make_runner: MakeRunner, row: Row
) -> None:
    seen = []

    def look(work: Work, _: Words) -> None:
        seen.append(row(work.job_id)["progress"])
        for share in (0.25, 7.0):
            work.progress(share)
            seen.append(row(work.job_id)["progress"])

    make_runner(look).run(make_job(progress=0.9))

    assert seen == [0.0, 0.25, 1.0]


def test_no_progress_is_told_while_it_writes(make_job: MakeJob, make_runner: MakeRunner) -> None:
    said: list[str] = []

    def mix(work: Work, arguments: Words) -> None:
        write(work, arguments)
        with pytest.raises(RuntimeError) as refused:
            work.progress(0.5)
        said.append(str(refused.value))

    assert make_runner(mix).run(make_job()) == "done"
    assert said == ["progress is told before the session is used"]


@pytest.fixture
def lines() -> Callable[[], list[dict[str, object]]]:
    """The log's lines so far."""
    stream = StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JSONFormatter())
    logger = logging.getLogger("app")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)

    def get() -> list[dict[str, object]]:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)
        return [loads(line) for line in stream.getvalue().splitlines()]

    return get


def test_its_lines_in_the_log_have_the_requests_id(
    make_job: MakeJob, make_runner: MakeRunner, lines: Callable[[], list[dict[str, object]]]
) -> None:
    def fail(*_: object) -> None:
        logging.getLogger("app.tea").warning("out of tea")
        raise LookupError

    make_runner(fail).run(make_job(request_id="r-1"))

    logged = lines()
    assert [line["message"] for line in logged] == [
        "out of tea",
        "an attempt at a job failed",
        "job",
    ]
    assert {line["request_id"] for line in logged} == {"r-1"}
