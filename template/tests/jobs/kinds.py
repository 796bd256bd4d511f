"""Kinds of job for tests."""

from collections.abc import Callable
from typing import Any

from pydantic import BaseModel

from app.jobs.attempt import Work
from app.jobs.kinds import Kind, Queue


class Words(BaseModel):
    """Arguments, and a result."""

    word: str = "tea"


def echo(work: Work, arguments: Words) -> Words:
    """Return the arguments."""
    work.progress(0.5)
    return arguments


def kind_of(
    function: Callable[[Any, Any], BaseModel | None],
    name: str = "test",
    queue: Queue = "quick",
    attempts: int = 5,
    *,
    public: bool = True,
) -> dict[str, Kind]:
    """Return a kind that is a function, by its name."""
    return {name: Kind(name, function, Words, queue=queue, attempts=attempts, public=public)}
