"""Faults of metrics and their files."""

from fastperf_new.questions import Answers
from tests.faults.fault import Databases, Fault

ANSWERS: Answers = {}
DATABASES: Databases = ("sqlite",)
FAULTS = [
    Fault("app/wiring/metrics.py", 'BY_ADDRESS.add("/metrics")', "pass", "by_address"),
    Fault("app/metrics/prometheus.py", ' if method in METHODS else "OTHER"', "", "makes_up"),
    Fault("app/metrics/prometheus.py", 'or "unknown"', 'or request.scope["path"]', "makes_up"),
    Fault("app/metrics/prometheus.py", "if not settings.allow", "if settings.allow", "asked_for"),
    Fault("app/metrics/settings.py", "scheme.lower()", "scheme", "asked_for"),
    Fault("app/metrics/prometheus.py", ", headers=challenge", "", "asked_for"),
    Fault("app/metrics/prometheus.py", "max(worst, previous)", "0.0", "blocked_loop"),
    Fault("app/metrics/prometheus.py", "gate.size - gate.free", "gate.free", "gates_are_shown"),
    Fault(
        "app/metrics/prometheus.py",
        "STATEMENTS.inc(self._told[0] - number)",
        "pass",
        "counted_and_timed",
    ),
    Fault(
        "app/metrics/exposition.py", "read_value(key)[0] + value", "read_value(key)[0]", "the_dead"
    ),
    Fault(
        "app/metrics/exposition.py", "taken.unlink(missing_ok=True)", "pass", "counts_none_twice"
    ),
    Fault("app/metrics/exposition.py", "st_size == 0", "st_size < 0", "without_content"),
    Fault("app/metrics/exposition.py", "not empty if pid", "True if pid", "without_content"),
    Fault(
        "app/metrics/exposition.py",
        'file.rename(file.with_suffix(".taken"))',
        "file",
        "counts_none_twice",
    ),
    Fault("app/metrics/exposition.py", "else _alive(int(pid))", "else True", "gauges_of_the_dead"),
    Fault("app/metrics/exposition.py", "    PlatformCollector(registry)\n", "", "has_its_memory"),
    Fault("app/metrics/exposition.py", "sorted(map(int, pids))", "[]", "has_its_memory"),
    Fault("app/metrics/processes.py", "if new:", "if False:", "has_its_memory"),
    Fault("app/metrics/files.py", "mode=0o700", "mode=0o755", "choose_the_same"),
    Fault(
        "app/metrics/files.py",
        "        _remove_unless_used(left)",
        "        pass",
        "a_service_left",
    ),
    Fault(
        "app/metrics/files.py", ".flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)", "", "what_is_used"
    ),
    Fault("app/metrics/files.py", ".flock(lock, fcntl.LOCK_SH)", "", "last_worker_removes_it"),
    Fault(
        "app/metrics/files.py",
        'f"{user}{_process_ids()}-{parent}-{_started(parent)}"',
        '""',
        "each",
    ),
    Fault(
        "app/metrics/files.py", "(None, leave,", "(None, _held.clear,", "serves_nothing_removes_it"
    ),
    Fault("app/metrics/files.py", "named == os.environ.get(CHOSEN)", "True", "have_one_each"),
    Fault("app/metrics/files.py", "os.O_RDWR |", "os.O_RDWR | os.O_CREAT |", "nobodys_service"),
    Fault(
        "app/metrics/prometheus.py",
        "statements.count_up()\n        take_counts()\n        leave",
        "statements.count_up()\n        leave",
        "counted_last_is_told",
    ),
    Fault(
        "app/metrics/prometheus.py",
        "statements.count_up()\n        take_counts()\n        for",
        "statements.count_up()\n        for",
        "parts_of_the_service_count",
    ),
    Fault("app/metrics/prometheus.py", "bisect_left(self", "bisect(self", "many_values"),
    Fault(
        "app/metrics/prometheus.py",
        "flush()\n        take_counts()",
        "flush()",
        "scrape_has_what_was_counted",
    ),
]
