"""Faults of the data layer, whatever the database."""

from fastperf_new.questions import Answers
from tests.faults.fault import EACH, SERVERS, Databases, Fault

ANSWERS: Answers = {}
DATABASES: Databases = EACH
FAULTS = [
    Fault("app/database/gate.py", "if self.free > 0:", "if True:", "no_more_are_in"),
    Fault(
        "app/database/gate.py",
        "self._waiting.popleft()",
        "self._waiting.pop()",
        "order_in_which_they_came",
    ),
    Fault(
        "app/database/gate.py",
        "turn.set_result(None)\n                return",
        "turn.set_result(None)\n                break",
        "newcomer",
    ),
    Fault(
        "app/database/gate.py",
        "loop.call_later(self._timeout",
        "loop.call_later(99",
        "waits_too_long",
    ),
    Fault("app/database/gate.py", ">= self._queue", ">= 99", "full_queue"),
    Fault(
        "app/database/gate.py",
        "turn.exception() is None:\n                self.leave()",
        "turn.exception() is None:\n                pass",
        "loses_no_place",
    ),
    Fault("app/database/writes.py", ", session.begin():", ":", "test_an_answer_means"),
    Fault("app/database/writes.py", "await session.flush()", "pass", "statement_of_the_flush"),
    Fault(
        "app/database/writes.py",
        "flush()\n                lift_deadline()",
        "flush()",
        "commit_is_not_cut_off",
    ),
    Fault("app/database/writes.py", "raise RuntimeError", "RuntimeError", "a_session_in_a_session"),
    Fault("app/database/writes.py", "if told is None:", "if True:", "is_a_conflict"),
    Fault("app/database/writes.py", "except StaleDataError", "except KeyError", "is_a_conflict"),
    Fault("app/database/writes.py", "writing.now = False", "pass", "outlives_the_session"),
    Fault("app/database/roads.py", ', scope="function")', ")", "commit_that_fails"),
    Fault(
        "app/database/roads.py",
        "reads(connection: HTTPConnection)",
        "reads(connection: str)",
        "a_socket_reads",
    ),
    Fault("app/database/reads.py", "if times > 1", "if times > 9", "names_of_their_own"),
    Fault("app/database/recorder.py", "if seconds >= self.slow", "if True", "slow_statement"),
    Fault(
        "app/database/recorder.py",
        "        for listener in",
        "        for listener in []:\n            pass\n        for _ in",
        "heard_of_once",
    ),
    Fault(
        "app/database/recorder.py", "failure.statement is not None", "False", "fails_is_heard_of"
    ),
    Fault(
        "app/database/core_reads.py",
        "if len(rows) > 1",
        "if len(rows) > 9",
        "more_than_one",
        (
            "sqlite",
            "mysql",
        ),
    ),
    Fault("app/database/budget.py", "if needed > limit", "if needed < 0", "refused", SERVERS),
    Fault(
        "app/database/budget.py",
        "settings.replicas * settings.workers",
        "settings.workers",
        "all_workers_of_all_replicas",
        SERVERS,
    ),
    Fault(
        "app/database/budget.py",
        "except UnavailableError",
        "except KeyError",
        "starts_before_its_database",
        SERVERS,
    ),
    Fault(
        "app/database/replica.py",
        "return database.replica",
        "return database.reads",
        "only_its_own_routes",
        SERVERS,
    ),
    Fault(
        "app/database/connections.py",
        "dbapi.Error as error:\n            raise InvalidatePoolError from error",
        "dbapi.Error as error:\n            pass",
        "broke_while_idle",
        SERVERS,
    ),
    Fault(
        "app/database/connections.py", "Deadline(PING)", "Deadline(99)", "finds_a_dead_one", SERVERS
    ),
    Fault("app/database/connections.py", '"TCP_KEEPIDLE": 5, ', "", "vanishes_is_noticed", SERVERS),
    Fault(
        "app/database/verdicts.py",
        "failure.is_disconnect = True",
        "pass",
        "does_not_write_is_left",
        SERVERS,
    ),
    Fault(
        "app/database/verdicts.py",
        "        moved()\n",
        "        pass\n",
        "does_not_write_is_left",
        SERVERS,
    ),
    Fault("app/database/writes.py", "committing = Deadline(COMMIT)", "pass", "is_never_answered"),
    Fault("app/database/writes.py", ", refused=True)", ")", "is_never_answered"),
    Fault(
        "app/database/core_reads.py",
        "self.gate.answered = monotonic()",
        "pass",
        "busy_service_stays_ready",
        (
            "sqlite",
            "mysql",
        ),
    ),
    Fault(
        "app/database/gate.py",
        "UnavailableError.logged > PAUSE",
        "0 > PAUSE",
        "not_by_each_request",
    ),
    Fault(
        "app/database/gate.py",
        "UnavailableError.logged > PAUSE",
        "0 < PAUSE",
        "not_by_each_request",
    ),
    Fault(
        "app/database/roads.py",
        ', scope="function")',
        ")",
        "own_session_is_given_back_before",
        ("sqlite",),
    ),
    Fault("app/database/writes.py", "if verdict is Verdict.VALUE:", "if False:", "out_of_range_is"),
    Fault(
        "app/database/core_reads.py",
        "if verdict is Verdict.VALUE:",
        "if False:",
        "half_a_character",
        ("sqlite", "mysql"),
    ),
    Fault(
        "app/database/core_reads.py",
        "isinstance(error, UNSENDABLE)",
        "False",
        "half_a_character",
        ("sqlite", "mysql"),
    ),
]
