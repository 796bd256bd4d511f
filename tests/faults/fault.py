"""A planted fault: what stands in a rendered project, what it becomes, the test that must fail."""

from dataclasses import dataclass
from typing import Protocol

from fastperf_new.questions import Answers

Databases = tuple[str, ...]

EACH: Databases = ("sqlite", "postgresql", "mysql")
SERVERS: Databases = ("postgresql", "mysql")


@dataclass(frozen=True)
class Fault:
    """Break one pattern of a rendered project."""

    path: str
    old: str
    new: str
    test: str  # a part of its name, or several parts joined with " or "
    databases: Databases = ()  # if they differ from those of its file


class Capability(Protocol):
    """A file of faults."""

    ANSWERS: Answers  # beside the preset, which is standard, and the database
    DATABASES: Databases
    FAULTS: list[Fault]


@dataclass(frozen=True)
class Case:
    """A fault in a project with these answers."""

    answers: Answers
    fault: Fault

    @property
    def id(self) -> str:
        """Return the database, the file and the test."""
        return f"{self.answers['database']}-{self.fault.path}-{self.fault.test}"
