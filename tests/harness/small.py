"""A small project and an update of it with every kind of change, in each kind of place."""

import os
import shutil
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fastperf_new import apply, git, journal, repository, stopping
from fastperf_new.answers import FILE
from fastperf_new.errors import RefusedError
from fastperf_new.merge import Merge, merged
from fastperf_new.render import files
from tests.harness.support import Project

DONE, REFUSED, BROKEN, KILLED = 0, 1, 2, 137  # exit codes of a child

PLACES = ("own", "monorepo", "worktree")

_BASE = {
    FILE: "_commit: v1\n",
    "app/main.py": "def one() -> int:\n    return 1\n\n\ndef two() -> int:\n    return 2\n",
    "app/settings.py": "NAME = 'a'\n",
    "app/gone.py": "GONE = 1\n",
    "app/kept.py": "KEPT = 1\n",
    "deploy/run": "#!/bin/sh\n",
    "docs": "a file that becomes a folder\n",
    "old/deep/er.txt": "a folder that becomes a file\n",
}
_NEW = {
    FILE: "_commit: v2\n",
    "app/main.py": _BASE["app/main.py"].replace("return 2", "return 3"),
    "app/settings.py": "NAME = 'b'\n",
    "app/kept.py": "KEPT = 1\nMORE = 2\n",
    "app/added/one.py": "ONE = 1\n",
    "app/added/two.py": "TWO = 2\n",
    "deploy/run": "#!/bin/sh\necho run\n",
    "docs/index.md": "# Docs\n",
    "old": "it was a folder\n",
}
# What its user did: an edit beside, a conflict, a file of their own.
_EDITS = {
    "app/main.py": "# mine\n" + _BASE["app/main.py"],
    "app/settings.py": "NAME = 'mine'\n",
    "app/mine.py": "MINE = 1\n",
}
CONFLICT = "app/settings.py"
CHANGED, ADDED = "app/main.py", "app/added/one.py"


@dataclass(frozen=True)
class Small:
    """A small project, and where the repository that holds it is.

    Attributes:
        top: what has to be copied to copy it: its repository and all work trees.
        project: its folder, below the top.
    """

    top: Path
    project: Path

    def copy(self, target: Path) -> "Small":
        """Copy all of it; a linked worktree is made to know where it is."""
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(self.top, target, symlinks=True)
        copied = Small(target, target / self.project.relative_to(self.top))
        link = copied.project / ".git"
        if link.is_file():
            private = target / "main/.git/worktrees/linked"
            link.write_text(f"gitdir: {private}\n")
            (private / "gitdir").write_text(f"{link}\n")
        return copied

    def state(self) -> tuple[dict[str, str], str]:
        """Return all files and the index."""
        found = {
            path: journal.state_of(self.project / path)
            for path in files(self.project)
            if not path.startswith(".git")
        }
        return found, self.git("ls-files", "--stage")

    def git(self, *words: str) -> str:
        return Project(self.project).git(*words)

    def repo(self) -> repository.Repository:
        return repository.find(self.project)

    def others(self) -> dict[str, bytes]:
        """Return what is in the repository and not the project's: nothing may change it."""
        skip = (self.project.relative_to(self.top).as_posix() + "/",)
        return {
            path: (self.top / path).read_bytes()
            for path in files(self.top)
            if not path.startswith(skip) and "/.git/" not in f"/{path}"
        }


def _write(folder: Path, contents: Mapping[str, str]) -> None:
    for path, text in contents.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    (folder / "deploy/run").chmod(0o755)


def make(top: Path, place: str) -> Small:
    """Make a project with its user's work, committed, in a place."""
    top.mkdir(parents=True)
    folder = {"own": top / "shop", "monorepo": top / "mono/services/shop", "worktree": top / "main"}
    root = top / "mono" if place == "monorepo" else folder[place]
    root.mkdir(parents=True)
    subprocess.run(["git", "init", "-q", "--template=", root], check=True)
    project = Project(folder[place])
    _write(project.folder, _BASE)
    if place == "monorepo":
        Project(root).write("README.md", "mono\n")
    Project(root).commit("new")
    for path, text in _EDITS.items():
        project.write(path, text)
    Project(root).commit("mine")
    if place == "worktree":
        project.git("worktree", "add", "-q", str(top / "linked"), "-b", "linked")
        return Small(top, top / "linked")
    if place == "monorepo":
        Project(root).write("README.md", "a sibling's work goes on\n")
    return Small(top, folder[place])


@contextmanager
def update_of(small: Small, renders: Path) -> Iterator[tuple[repository.Repository, Merge]]:
    """Merge the update into a project."""
    for name, contents in (("old", _BASE), ("new", _NEW)):
        if not (renders / name).exists():
            _write(renders / name, contents)
    repo = small.repo()
    with merged(repo, renders / "old", renders / "new", "fastperf-2") as merge:
        yield repo, merge


def run_update(small: Small, renders: Path) -> None:
    """Update a project from its first to its last git call, as the command does."""
    from fastperf_new.project import check_ready  # noqa: PLC0415  (it imports much)

    check_ready(small.repo(), dry_run=False)
    with update_of(small, renders) as (repo, merge):
        apply.apply(repo, merge)


# --- acting at points -----------------------------------------------------------------------

# What changes a file system, as Python reports it before it does it.
_MUTATIONS = {"os.rename", "os.remove", "os.link", "os.mkdir", "os.rmdir", "os.symlink"}


def at_mutations(top: Path, act: Callable[[int], None]) -> None:
    """Act just before each change to the files below a folder."""
    number, acting = -1, False

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal number, acting
        to_file = event == "open" and not isinstance(arguments[0], int)
        writes = to_file and str(arguments[1]).startswith(("w", "x"))
        if acting or (event not in _MUTATIONS and not writes):
            return
        # Descriptors instead of paths: somewhere below what was opened before.
        below = any(str(top) in str(argument) for argument in arguments)
        if below or (number >= 0 and event != "open" and -1 not in arguments[-2:]):
            number += 1
            acting = True
            try:
                act(number)
            finally:
                acting = False

    sys.addaudithook(hook)


Answer = subprocess.CompletedProcess[bytes] | None


def at_git_calls(monkeypatch: pytest.MonkeyPatch, act: Callable[[int], Answer]) -> None:
    """Act just before each git call; what is returned is taken for its result."""
    start = git._start
    number = -1

    def counted(words: list[str], **options: Any) -> subprocess.CompletedProcess[bytes]:
        nonlocal number
        number += 1
        return act(number) or start(words, **options)

    monkeypatch.setattr(git, "_start", counted)


def in_child(work: Callable[[], None]) -> int:
    """Do something in a process of its own, and return how it ended."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        work()
    except RefusedError as error:
        print(f"refused: {error}", file=sys.stderr)
        os._exit(REFUSED)
    except stopping.Stopped:
        os._exit(REFUSED)
    except BaseException:
        traceback.print_exc()
        os._exit(BROKEN)
    os._exit(DONE)
