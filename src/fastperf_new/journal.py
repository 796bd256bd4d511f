"""The journal of an update, written before the first change, so that it can be finished or undone.

It lies in `fastperf/` in the repository's git directory, where no `git add` reaches and nothing
is cloned into:

    mark            says that the folder is ours; nothing without it is ever removed
    journal         a checksum, then the steps as JSON
    new/<path>      the files to come
    was/<number>    the files that they replace, moved here by the rename that takes them away
"""

import hashlib
import json
import os
import shutil
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from fastperf_new.errors import NotReadyError
from fastperf_new.repository import Repository

NOTHING = ""  # the state of a path where no file is

_MARK = "mark"
_MARKED = "This folder belongs to `fastperf update`, which removes it.\n"


class DamagedError(Exception):
    """The journal cannot be read."""


@dataclass(frozen=True)
class Step:
    """One path, relative to the repository's root, before and after.

    Attributes:
        old, new: the file's state, see `state_of`.
        old_entries, new_entries: its lines in git's index, each `mode id stage`.
    """

    path: str
    old: str
    new: str
    old_entries: list[str]
    new_entries: list[str]


@dataclass(frozen=True)
class Journal:
    """All steps of an update, the answers file's last."""

    prefix: str  # of the project in its repository
    steps: list[Step]


def state_of(path: Path) -> str:
    """Return what tells one state of a path from another."""
    if path.is_symlink():
        return link_state(os.readlink(path))
    if not path.exists():
        return NOTHING
    if not path.is_file():
        return "no file"
    return file_state(path.read_bytes(), path.stat().st_mode)


def link_state(target: str) -> str:
    """Return the state of a link."""
    return f"link {target}"


def file_state(content: bytes, mode: int) -> str:
    """Return the state of a file by its content and mode."""
    return f"{'x' if mode & 0o100 else '-'} {hashlib.sha256(content).hexdigest()}"


# --- the folder -----------------------------------------------------------------------------


def work_folder(repo: Repository) -> Path:
    """Return where files wait: on the project's own file system, so that renames reach it."""
    if repo.git_dir.stat().st_dev == repo.project.stat().st_dev:
        return repo.folder
    return repo.project / ".fastperf-work"


def make_folders(repo: Repository) -> Path:
    """Make the folders of a new update and return the one in which files wait.

    Raises:
        NotReadyError: when something that is not ours has their place.
    """
    work = work_folder(repo)
    for folder in {repo.folder, work}:
        if os.path.lexists(folder):
            _refuse_foreign(folder)
            _remove(folder)  # without a journal it did nothing
        folder.mkdir()
        (folder / _MARK).write_text(_MARKED)
    if work != repo.folder:
        (work / ".gitignore").write_text("*\n")  # git must not see what waits in the project
    (work / "new").mkdir()
    (work / "was").mkdir()
    return work


def _refuse_foreign(folder: Path) -> None:
    ours = not folder.is_symlink() and folder.is_dir()
    names = set(os.listdir(folder)) if ours else set()
    if not ours or (names and _MARK not in names):
        raise NotReadyError(f"{folder} is in the way of the update: move it elsewhere first.")


def _remove(folder: Path) -> None:
    """Remove a folder that has our mark, or nothing in it; the mark goes last."""
    _refuse_foreign(folder)
    for entry in folder.iterdir():
        if entry.name == _MARK:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    (folder / _MARK).unlink(missing_ok=True)
    folder.rmdir()


def forget(repo: Repository) -> None:
    """Remove the journal, then the folders, as far as they can be removed.

    Raises:
        OSError: when the journal cannot be removed.
    """
    (repo.folder / "journal").unlink(missing_ok=True)
    for folder in {repo.folder, work_folder(repo)}:
        if os.path.lexists(folder):
            with suppress(OSError, NotReadyError):  # the next update tries again
                _remove(folder)


def put_aside(repo: Repository) -> None:
    """Rename a folder that cannot be read, or that holds work of the user's."""
    for folder in {repo.folder, work_folder(repo)}:
        number = 1
        while os.path.lexists(aside := folder.with_name(f"{folder.name}.aside-{number}")):
            number += 1
        if os.path.lexists(folder):
            folder.rename(aside)


# --- the journal ----------------------------------------------------------------------------


def is_there(repo: Repository) -> bool:
    """Return whether an update was begun here and neither finished nor undone.

    `journal.json` is what releases up to 0.6.0 wrote.
    """
    names = ("journal", "journal.json")
    return any(os.path.lexists(repo.folder / name) for name in names)


def write(repo: Repository, journal: Journal) -> None:
    """Write the journal, in one step: from here on the update can be finished or undone."""
    text = json.dumps(asdict(journal), indent=1)
    begun = repo.folder / "journal.new"
    begun.write_text(f"{_checksum(text)}\n{text}", "utf-8")
    if hasattr(os, "sync"):
        os.sync()  # the journal must not outlive a power cut that its files do not
    begun.replace(repo.folder / "journal")


def read(repo: Repository) -> Journal:
    """Read the journal.

    Raises:
        DamagedError: when it is not as it was written, or names a path outside the project.
    """
    try:
        checksum, _, text = (repo.folder / "journal").read_text("utf-8").partition("\n")
        if checksum != _checksum(text):
            raise DamagedError("the checksum is wrong")
        content: dict[str, Any] = json.loads(text)
        steps = [Step(**step) for step in content["steps"]]
        journal = Journal(content["prefix"], steps)
        if not all(_is_sound(journal, step) for step in steps):
            raise DamagedError("a path is outside the project")
    except (OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise DamagedError(str(error)) from None
    return journal


def _is_sound(journal: Journal, step: Step) -> bool:
    """Return whether a step is of the right types, and its path in the project."""
    lines = [*step.old_entries, *step.new_entries]
    if not all(isinstance(text, str) for text in (step.path, step.old, step.new, *lines)):
        return False
    path = PurePosixPath(step.path)
    return (
        step.path.startswith(journal.prefix)
        and not path.is_absolute()
        and str(path) == step.path
        and not {"..", ".git"} & {part.lower() for part in path.parts}
    )


def _checksum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
