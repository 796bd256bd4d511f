"""Whether a worker is alive."""

import os
import runpy
from pathlib import Path
from time import time
from types import SimpleNamespace

import pytest
from kombu.utils.imports import symbol_by_name

from app.jobs.settings import TaskSettings
from app.tasks import clock, liveness
from app.tasks.broker import new_celery
from app.tasks.liveness import STILL, Loop, is_alive


def test_a_file_that_nobody_touches_is_a_dead_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(liveness, "FILE", tmp_path / "alive")

    assert not is_alive()
    liveness.FILE.touch()
    assert is_alive()
    os.utime(liveness.FILE, (0, time() - STILL - 1))
    assert not is_alive()


def test_the_clock_touches_its_file_as_long_as_it_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    file = tmp_path / "alive"
    monkeypatch.setattr(clock, "CLOCK_FILE", file)
    celery = new_celery(TaskSettings(broker_url=f"{scheme}://"))
    kind = symbol_by_name(celery.conf.beat_scheduler)
    monkeypatch.setattr(kind, "schedule", {})  # nothing is due

    until_next = kind(celery, lazy=True).tick()

    assert until_next == liveness.EVERY
    assert is_alive(file)


@pytest.mark.parametrize("name", ["first", "second"])
def test_each_worker_may_have_a_file_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("TASKS_LIVENESS_FILE", str(tmp_path / name))

    assert runpy.run_path(str(liveness.__file__))["FILE"] == tmp_path / name


def test_a_loop_stands_still_when_it_should_go_round() -> None:
    loop = Loop()
    loop.turned -= STILL + 1

    assert not loop.stands_still  # the broker is away
    loop.runs = True
    assert loop.stands_still
    loop.turn()
    assert not loop.stands_still


def test_it_knows_when_the_loop_runs(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liveness, "touch", lambda: None)
    monkeypatch.setattr(liveness, "loop", Loop())
    cancelled: list[bool] = []
    timer = SimpleNamespace(cancel=lambda: cancelled.append(True))
    worker = SimpleNamespace(timer=SimpleNamespace(call_repeatedly=lambda *_: timer))
    celery = new_celery(TaskSettings(broker_url=f"{scheme}://"))
    liveness.watch(celery)
    (step,) = celery.steps["consumer"]
    turning = step(worker)

    turning.stop(worker)  # the broker was never there
    assert not liveness.loop.runs
    turning.start(worker)
    assert liveness.loop.runs
    turning.stop(worker)
    assert not liveness.loop.runs
    assert cancelled == [True]
