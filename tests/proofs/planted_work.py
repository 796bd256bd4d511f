"""Jobs that the tests watch, planted into a rendered project as a feature's `work.py`."""

import os
import time
from pathlib import Path

from pydantic import BaseModel
from sqlalchemy import text

from app.jobs.attempt import Work
from app.jobs.kinds import Kind

EFFECT = text("INSERT INTO effects (key, pid) VALUES (:key, :pid)")
COUNTED = text("UPDATE counter SET value = value + 1")


class Arguments(BaseModel):
    """Which job it is, by a key of the test's own."""

    key: int
    seconds: float = 0.0  # that it takes at least


class GateArguments(Arguments):
    """The folder where it says that it has begun, and is told to go on."""

    folder: Path


def take_effect(work: Work, arguments: Arguments) -> None:
    """Do what must be done once."""
    work.session.execute(EFFECT, {"key": arguments.key, "pid": os.getpid()})
    work.session.execute(COUNTED)


def count(work: Work, arguments: Arguments) -> None:
    """Take a moment."""
    time.sleep(arguments.seconds)
    take_effect(work, arguments)


def gate(work: Work, arguments: GateArguments) -> None:
    """Wait until it may go on."""
    (arguments.folder / str(os.getpid())).touch()
    while not (arguments.folder / "open").exists():
        time.sleep(0.02)
    take_effect(work, arguments)


def hang(work: Work, arguments: Arguments) -> None:
    """Never end, whatever it is told."""
    while True:
        try:
            time.sleep(60)
        except BaseException:  # noqa: S112
            continue


KINDS = [
    Kind("count", count, Arguments, public=True),
    Kind("gate", gate, GateArguments, queue="long", public=True),
    Kind("hang", hang, Arguments, attempts=2, public=True),
]
