"""Runs a job: claims its row, calls its function, and writes what came of it."""

import logging
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import timedelta
from random import SystemRandom
from time import perf_counter
from typing import Literal

from pydantic import BaseModel, ValidationError

from app.database.sync import SyncDatabase
from app.jobs import claims
from app.jobs.attempt import JobError, Work, renewed
from app.jobs.claims import Claim, LostError
from app.jobs.kinds import Kind, all_kinds
from app.jobs.models import now
from app.jobs.settings import TaskSettings
from app.observability.context import RequestContext, current_request

logger = logging.getLogger(__name__)

Outcome = Literal["done", "retried", "failed", "lost"]
_random = SystemRandom()


@dataclass(frozen=True)
class Attempt:
    """What came of an attempt.

    Args:
        kind: of the job.
        outcome: "lost" when somebody else has the job by now.
        waited: seconds from the making of the job to its first attempt; None of a later one.
        seconds: that it took.
    """

    kind: str
    outcome: Outcome
    waited: float | None
    seconds: float


class Runner:
    """Runs jobs, one at a time.

    Args:
        database: of this process, with two connections: the job's, and its lease's.
        settings: limits and delays.
        kinds: by name; unless given, all there are.
    """

    def __init__(
        self,
        database: SyncDatabase,
        settings: TaskSettings,
        kinds: Mapping[str, Kind] | None = None,
    ) -> None:
        self.database = database
        self.settings = settings
        self.listeners: list[Callable[[Attempt], None]] = []  # called after each attempt
        self.parts = ExitStack()  # what others keep open as long as the runner
        self._kinds = all_kinds() if kinds is None else kinds

    def run(self, job_id: int) -> Outcome | None:
        """Run a job, unless it is done, not due, or somebody else's: then return None."""
        with self.database.transaction() as connection:
            claim = claims.claim(connection, job_id, self.settings.lease)
        if claim is None:
            return None
        about = RequestContext(claim.request_id or f"job-{claim.id}", {"type": "job"})
        token = current_request.set(about)
        try:
            return self._run(claim)
        finally:
            current_request.reset(token)

    def _run(self, claim: Claim) -> Outcome:
        started = perf_counter()
        outcome = self._attempt(claim)
        seconds = perf_counter() - started
        number = _number(self._kinds.get(claim.kind), claim)
        kind = claim.kind if claim.kind in self._kinds else "unknown"
        about = {"job": claim.id, "kind": kind, "attempt": number, "outcome": outcome}
        logger.info("job", extra={**about, "duration_ms": round(seconds * 1000, 3)})
        waited = claim.waited if claim.attempt == 1 else None
        for listener in self.listeners:
            listener(Attempt(kind, outcome, waited, seconds))
        return outcome

    def _attempt(self, claim: Claim) -> Outcome:
        kind = self._kinds.get(claim.kind)
        work = Work(self.database, claim, self.settings.soft_limit)
        try:
            with renewed(self.database, claim, self.settings.lease):
                try:
                    work.finish(_call(kind, work, claim))
                finally:
                    work.close()
            return "done"
        except LostError:
            logger.warning("the job's lease has ended: somebody else has it")
            return "lost"
        except Exception as error:
            logger.exception("an attempt at a job failed", extra={"job": claim.id})
            return self._fail(claim, kind, error)

    def _fail(self, claim: Claim, kind: Kind | None, error: Exception) -> Outcome:
        told = str(error) if isinstance(error, JobError) else type(error).__name__
        useless = isinstance(error, JobError) and not error.again
        again = kind is not None and claim.attempt < kind.attempts and not useless
        again_at = now() + timedelta(seconds=self._delay(claim.attempt)) if again else None
        try:
            with self.database.transaction() as connection:
                ended = replace(claim, attempt=_number(kind, claim))
                claims.fail(connection, ended, told, again_at)
        except LostError:
            return "lost"
        return "retried" if again else "failed"

    def _delay(self, attempt: int) -> float:
        """Return the seconds before the next attempt, any up to a bound that doubles.

        So jobs that failed together do not come back together:
        https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
        """
        bound = self.settings.backoff * 2.0 ** min(attempt - 1, 60)
        return _random.uniform(0, min(bound, self.settings.backoff_max))


def _number(kind: Kind | None, claim: Claim) -> int:
    """Return an attempt's number. One after the last only ends a job: it does not count."""
    return claim.attempt if kind is None else min(claim.attempt, kind.attempts)


def _call(kind: Kind | None, work: Work, claim: Claim) -> BaseModel | None:
    if kind is None:
        raise JobError("There is no such kind of job any more.", again=False)
    if claim.attempt > kind.attempts:  # none of them lived to say that it failed
        raise JobError("The process that ran it has died each time.", again=False)
    try:
        arguments = kind.arguments.model_validate(claim.arguments)
    except ValidationError:
        raise JobError("Its arguments are no longer valid.", again=False) from None
    return kind.function(work, arguments)
