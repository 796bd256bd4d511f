"""Faults of gunicorn and the number of its workers."""

from fastperf_new.questions import Answers
from tests.faults.fault import Databases, Fault

ANSWERS: Answers = {"server": "gunicorn"}
DATABASES: Databases = ("sqlite",)
FAULTS = [
    Fault("app/cpus.py", "ceil(int(quota)", "int(int(quota)", "a_quota_leaves_fewer_cores"),
    Fault("app/cpus.py", "if (now :=", "if False and (now :=", "a_quota_leaves_fewer_cores"),
    Fault("app/cpus.py", "elif (older", "elif False and (older", "a_quota_leaves_fewer_cores"),
    Fault("gunicorn.conf.py", "min(cpus(), most_workers())", "cpus()", "the_number_of_workers"),
    Fault("gunicorn.conf.py", 'os.environ.get("WEB_CONCURRENCY") or ', "", "the_number_of_workers"),
    Fault(
        "gunicorn.conf.py",
        '"WEB_CONCURRENCY"] = str(workers)',
        '"WEB"] = str(workers)',
        "the_number_of_workers",
    ),
    Fault(
        "gunicorn.conf.py",
        '"WEB_CONCURRENCY"] = str(server',
        '"WEB"] = str(server',
        "workers_on_the_command_line",
    ),
    Fault(
        "gunicorn.conf.py",
        '"timeout_graceful_shutdown": FINISH,',
        "",
        "finishes_before_it_is_killed",
    ),
    Fault("gunicorn.conf.py", '"timeout_notify": 0.5,', "", "finishes_before_it_is_killed"),
    Fault("gunicorn.conf.py", '"access_log": False,', "", "finishes_before_it_is_killed"),
    Fault("gunicorn.conf.py", " if workers > 1 else 0", "", "alone_is_not_replaced"),
    Fault("gunicorn.conf.py", "\ntimeout = FINISH + 5", "\ntimeout = 30", "each_time_is_longer"),
    Fault("gunicorn.conf.py", "ceil(_settings.drain_seconds) + ", "", "each_time_is_longer"),
    Fault("gunicorn.conf.py", "keepalive = 75", "keepalive = 5", "each_time_is_longer"),
    Fault("gunicorn.conf.py", 'ALLOW_IPS") or "127.0.0.1"', 'ALLOW_IPS") or "*"', "known_proxies"),
    Fault("gunicorn.conf.py", "        configure_logging(_settings)\n", "", "own_messages"),
    Fault("gunicorn.conf.py", "            sleep(0.1)\n", "            break\n", "as_many_new"),
    Fault("gunicorn.conf.py", "newest[-server.num_workers :]", "newest[:1]", "as_many_new"),
    Fault("gunicorn.conf.py", "        stop_the_oldest()\n", "", "as_many_new"),
    Fault("gunicorn.conf.py", "            server.reap_workers()", "            #", "cannot_start"),
    Fault("gunicorn.conf.py", " and monotonic() < until", "", "for_ever"),
    Fault("gunicorn.conf.py", "worker_class = ServiceWorker", "", "gunicorn_takes_it"),
    Fault(
        "app/database/worker_budget.py",
        "settings.replicas * pools",
        "pools",
        "they_fit",
        ("postgresql",),
    ),
    Fault("app/database/worker_budget.py", " - settings.headroom", "", "they_fit", ("postgresql",)),
    Fault(
        "app/database/worker_budget.py",
        "max(1, asyncio.run(least()))",
        "asyncio.run(least())",
        "they_fit",
        ("postgresql",),
    ),
    Fault(
        "app/database/worker_budget.py",
        "if settings.read_url is not None",
        "if False",
        "fit_the_replica",
        ("postgresql",),
    ),
    Fault(
        "app/database/worker_budget.py",
        "except UnavailableError",
        "except KeyError",
        "does_not_answer",
        ("postgresql",),
    ),
]
