"""The kinds of job there are: each feature's `work.py` says its own."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel

Queue = Literal["quick", "long"]
QUEUES: tuple[Queue, ...] = ("quick", "long")


@dataclass(frozen=True)
class Kind:
    """A kind of job.

    Args:
        name: as rows have it; jobs that wait need it for as long as they do.
        function: called with the `Work` and the arguments, in a process or thread of its own, so
            it may block; what it returns is the job's result. It may be called again after
            it was cut off at any point, so it has to bear that.
        arguments: their model.
        queue: "long" for what takes more than a few seconds, so that the others need not wait.
        attempts: after so many that failed, the job has.
        public: whether clients may start it by `POST /jobs`, and read its jobs.
    """

    name: str
    function: Callable[[Any, Any], BaseModel | None]
    arguments: type[BaseModel]
    queue: Queue = "quick"
    attempts: int = 5
    public: bool = False


@cache
def all_kinds() -> dict[str, Kind]:
    """Return the kinds of every feature by name: of each package that has a `work.py`."""
    root = Path(__file__).parent.parent
    paths = sorted(root.rglob("work.py"))
    names = (".".join(path.relative_to(root.parent).with_suffix("").parts) for path in paths)
    return {kind.name: kind for name in names for kind in import_module(name).KINDS}


def queue_of(kind: str) -> Queue:
    """Return the queue for a kind, also for one that is no longer there: its job has to fail."""
    found = all_kinds().get(kind)
    return found.queue if found else "quick"
