"""Whether a worker is alive."""

import os
from pathlib import Path
from time import time

import pytest

from app.tasks import liveness
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


def test_a_loop_stands_still_when_it_should_go_round() -> None:
    loop = Loop()
    loop.turned -= STILL + 1

    assert not loop.stands_still  # the broker is away
    loop.runs = True
    assert loop.stands_still
    loop.turn()
    assert not loop.stands_still
