"""What optional parts of the service have to do with jobs: each a module of this folder."""

from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from app.jobs.runner import Runner
from app.jobs.settings import TaskSettings


class Part(Protocol):
    """A module of this folder."""

    def before_fork(self, settings: TaskSettings) -> None:
        """Begin in the main process of a worker, before there are others."""

    def attach(self, runner: Runner) -> None:
        """Begin with a runner, in its own process."""


@cache
def all_parts() -> list[Part]:
    """Return all parts."""
    names = sorted(path.stem for path in Path(__file__).parent.glob("[a-z]*.py"))
    found: list[Any] = [import_module(f"{__name__}.{name}") for name in names]
    return found
