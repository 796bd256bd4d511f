"""Faults of the probes and draining."""

from fastperf_new.questions import Answers
from tests.faults.fault import EACH, Databases, Fault

ANSWERS: Answers = {}
DATABASES: Databases = ("sqlite",)
FAULTS = [
    Fault(
        "app/health.py",
        "(UnavailableError, TimeoutError)",
        "TimeoutError",
        "live_but_not_ready",
        EACH,
    ),
    Fault("app/health.py", "if stopping.is_set():", "if False:", "not_ready_but_live", EACH),
    Fault("app/health.py", "gate.free == 0 and", "False and", "busy_service_stays_ready", EACH),
    Fault(
        "app/health.py", "monotonic() - gate.answered < RECENT", "True", "a_silent_database", EACH
    ),
    Fault(
        "app/health.py",
        "isinstance(error, BusyError | TimeoutError)",
        "False",
        "another_meanwhile",
        EACH,
    ),
    Fault("app/health.py", "if missing:", "if False:", "without_migration", EACH),
    Fault("app/draining.py", "stopping.set()", "pass", "not_ready_but_live"),
    Fault("app/draining.py", "if stopping.is_set():", "if False:", "not_ready_but_live"),
    Fault("app/draining.py", "call_later(seconds", "call_later(0", "not_ready_but_live"),
    Fault("app/draining.py", "if not seconds:", "if False:", "signal_is_the_servers"),
    Fault(
        "app/main.py",
        "        drain_on_sigterm(settings.drain_seconds)\n",
        "",
        "not_ready_but_live",
    ),
    Fault(
        "app/health.py",
        "= request.state.database",
        "= (__import__('app.settings').settings.Settings(), request.state.database)[1]",
        "a_request_reads_none",
    ),
]
