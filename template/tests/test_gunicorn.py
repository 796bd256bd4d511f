"""What gunicorn.conf.py makes of the machine and of the environment."""

import json
import logging
import os
import runpy
from pathlib import Path
from time import monotonic, time
from types import SimpleNamespace
from typing import Any

import pytest
from gunicorn.app.wsgiapp import WSGIApplication
from gunicorn.config import Config
from gunicorn.glogging import Logger

from tests.waiting import HANG, no_hang

PROJECT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def _no_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have what the file sets taken back too."""
    monkeypatch.setenv("WEB_CONCURRENCY", "")
    monkeypatch.delenv("PORT", raising=False)
    monkeypatch.delenv("FORWARDED_ALLOW_IPS", raising=False)


def load() -> dict[str, Any]:
    return runpy.run_path(str(PROJECT / "gunicorn.conf.py"))


def has(monkeypatch: pytest.MonkeyPatch, *, cores: int, room: int = 100) -> None:
    """Have a machine with so many cores, and a database with room for so many workers."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)), raising=False)
    monkeypatch.setattr("app.database.most_workers", lambda: room)


@pytest.mark.parametrize(
    ("cores", "room", "given", "workers"),
    [(1, 100, "", 1), (2, 100, "", 2), (8, 100, "", 8), (8, 3, "", 3), (2, 1, "5", 5)],
)
def test_the_number_of_workers(
    monkeypatch: pytest.MonkeyPatch, cores: int, room: int, given: str, workers: int
) -> None:
    has(monkeypatch, cores=cores, room=room)
    monkeypatch.setenv("WEB_CONCURRENCY", given)
    monkeypatch.setattr(Path, "exists", lambda _: False)  # no quota

    assert load()["workers"] == workers
    assert os.environ["WEB_CONCURRENCY"] == str(workers)  # for what the service counts


@pytest.mark.parametrize(("workers", "replaced"), [("1", False), ("2", True)])
def test_a_worker_that_is_alone_is_not_replaced(
    monkeypatch: pytest.MonkeyPatch, workers: str, replaced: bool
) -> None:
    monkeypatch.setenv("WEB_CONCURRENCY", workers)

    assert (load()["max_requests"] > 0) is replaced


def test_each_time_is_longer_than_the_one_within_it(monkeypatch: pytest.MonkeyPatch) -> None:
    has(monkeypatch, cores=1)
    monkeypatch.setenv("DRAIN_SECONDS", "9.5")

    conf = load()

    assert conf["FINISH"] < conf["timeout"]
    assert conf["FINISH"] + 9.5 < conf["graceful_timeout"]
    assert conf["keepalive"] > 60  # what load balancers wait by default


def test_a_worker_finishes_before_it_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    has(monkeypatch, cores=1)
    conf = load()
    config = Config()
    config.set("timeout", conf["timeout"])
    config.set("max_requests", conf["max_requests"])

    worker = conf["worker_class"](1, 1, [], None, conf["timeout"] / 2, config, Logger(config))

    worker.tmp.close()
    assert worker.config.timeout_graceful_shutdown == conf["FINISH"]
    assert worker.config.timeout_notify < 1
    assert not worker.config.access_log


def test_only_known_proxies_are_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    has(monkeypatch, cores=1)
    assert load()["forwarded_allow_ips"] == "127.0.0.1"

    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "10.0.0.1")
    assert load()["forwarded_allow_ips"] == "10.0.0.1"


def test_its_own_messages_are_in_the_services_format(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    has(monkeypatch, cores=1)
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])

    load()["logger_class"](Config()).info("Listening at: %s", "a port")

    (line,) = capsys.readouterr().err.splitlines()
    entry = json.loads(line)
    assert (entry["logger"], entry["message"]) == ("gunicorn.error", "Listening at: a port")


def test_gunicorn_takes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    has(monkeypatch, cores=1)
    monkeypatch.chdir(PROJECT)
    monkeypatch.setattr("sys.argv", ["gunicorn", "app.main:app"])
    monkeypatch.setenv("PORT", "8080")

    config = WSGIApplication().cfg

    assert config.address == [("0.0.0.0", 8080)]  # noqa: S104
    assert config.worker_class_str == "ServiceWorker"


def test_the_service_hears_of_workers_on_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEB_CONCURRENCY", "1")
    server = SimpleNamespace(cfg=SimpleNamespace(workers=3))

    load()["on_starting"](server)

    assert os.environ["WEB_CONCURRENCY"] == "3"


class Reloaded:
    """A gunicorn that has just started new workers beside the old ones."""

    num_workers = 2
    timeout = 2 * HANG

    def __init__(self) -> None:
        self.WORKERS = {age: self.worker(age) for age in (4, 3, 2, 1)}
        self.heartbeats = dict.fromkeys((1, 2), monotonic()) | dict.fromkeys((3, 4), time())
        self.events: list[str] = []
        self.coming = [3, 4]

    def worker(self, age: int) -> SimpleNamespace:
        return SimpleNamespace(
            age=age, tmp=SimpleNamespace(last_update=lambda: self.heartbeats[age])
        )

    def reap_workers(self) -> None:
        age = self.coming.pop(0)
        self.heartbeats[age] = monotonic()
        self.events.append(f"{age} serves")

    def manage_workers(self) -> None:
        self.events.append("the oldest are stopped")


def test_old_workers_serve_until_as_many_new_ones_do() -> None:
    server = Reloaded()
    load()["when_ready"](server)

    server.manage_workers()
    server.manage_workers()

    assert server.events == ["3 serves", "4 serves", *["the oldest are stopped"] * 2]


def test_new_workers_that_cannot_start_are_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Reloaded()
    server.WORKERS = dict(sorted(server.WORKERS.items()))
    monkeypatch.setattr(server, "reap_workers", server.WORKERS.popitem)  # takes the newest
    load()["when_ready"](server)

    with no_hang():
        server.manage_workers()

    assert server.WORKERS.keys() == {1, 2}


def test_a_new_worker_that_hangs_is_not_waited_for_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = Reloaded()
    monkeypatch.setattr(server, "reap_workers", lambda: None)
    monkeypatch.setattr(server, "timeout", 0.01)
    load()["when_ready"](server)

    with no_hang():
        server.manage_workers()

    assert server.events == ["the oldest are stopped"]
