"""Move a project's files to their new state and back, never over a file that was saved meanwhile."""

import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from fastperf_new import journal
from fastperf_new.errors import RefusedError
from fastperf_new.journal import NOTHING, Journal, Step, state_of
from fastperf_new.repository import Entry, Repository, is_file, lines_of


class ChangedError(Exception):
    """A path has a state that the update does not know, so it holds the user's work."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


def go_forward(repo: Repository, written: Journal) -> None:
    """Bring every path to its new state.

    Raises:
        ChangedError: when one was changed by somebody else; it is left as it is.
    """
    work = journal.work_folder(repo)
    todo = []
    for number, step in enumerate(written.steps):
        was, target = work / "was" / str(number), repo.root / step.path
        _put_back_what_was_saved(was, target, step)
        state = _state(target, step)
        if state not in (step.new, step.old, NOTHING):
            raise ChangedError(step.path)
        if state != step.new:
            todo.append((was, target, step, state))
    # Removals first: what was a file may become a folder.
    for was, target, step, state in sorted(todo, key=lambda item: item[2].new != NOTHING):
        if state != NOTHING:
            _take(repo, target, was, step)
        if step.new:
            _give(repo, work / "new" / step.path, target, step, step.new)
    for number, step in enumerate(written.steps):
        # An editor that opened a file before it was renamed away writes to it there.
        if state_of(work / "was" / str(number)) not in (step.old, NOTHING):
            raise ChangedError(step.path)


def _state(target: Path, step: Step) -> str:
    """Return a path's state; a folder that a file makes room for, or comes from, is no file."""
    if NOTHING in (step.old, step.new) and target.is_dir() and not target.is_symlink():
        return NOTHING
    return state_of(target)


def _put_back_what_was_saved(was: Path, target: Path, step: Step) -> None:
    """Return a file to its place that was saved as it was renamed away, before a kill."""
    if not os.path.lexists(target) and state_of(was) not in (step.old, NOTHING):
        target.parent.mkdir(parents=True, exist_ok=True)
        move(was, target)


def _take(repo: Repository, target: Path, was: Path, step: Step) -> None:
    """Rename a file away, and put it back if it is not what was committed."""
    _refuse_links_above(repo, target, step)
    if state_of(was) not in (step.old, NOTHING):
        was.rename(was.with_name(f"{was.name}.saved"))
    was.unlink(missing_ok=True)
    try:
        target.rename(was)
    except FileNotFoundError:
        raise ChangedError(step.path) from None
    if state_of(was) != step.old:
        with suppress(FileExistsError):  # then there is a newer one, and this one is kept aside
            move(was, target)
        raise ChangedError(step.path)
    if not step.new:
        _remove_empty_folders(repo, target)


def _give(repo: Repository, source: Path, target: Path, step: Step, state: str) -> None:
    """Put a copy of a file where nothing may be."""
    _refuse_links_above(repo, target, step)
    copy = journal.work_folder(repo) / "copy"
    copy.unlink(missing_ok=True)
    shutil.copy2(source, copy, follow_symlinks=False)
    if state_of(copy) != state:
        raise RefusedError(f"{source} is damaged.")
    _make_room(target)
    try:
        move(copy, target)
    except FileExistsError:
        copy.unlink()
        raise ChangedError(step.path) from None


def move(source: Path, target: Path) -> None:
    """Rename a file to where nothing may be.

    Raises:
        FileExistsError: when something is.
    """
    try:
        os.link(source, target, follow_symlinks=False)
    except FileExistsError:
        raise
    except OSError:  # a file system without links, or a folder
        if os.path.lexists(target):
            raise FileExistsError(target) from None
        source.rename(target)
    else:
        source.unlink()


def _make_room(target: Path) -> None:
    """Make the folders above a file, and remove those in its place that hold nothing."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_dir() and not target.is_symlink():
        for folder, _, _ in os.walk(target, topdown=False):
            with suppress(OSError):
                Path(folder).rmdir()


def _refuse_links_above(repo: Repository, target: Path, step: Step) -> None:
    for parent in target.relative_to(repo.project).parents[:-1]:
        if (repo.project / parent).is_symlink():
            raise ChangedError(step.path)


def _remove_empty_folders(repo: Repository, target: Path) -> None:
    for parent in target.relative_to(repo.project).parents[:-1]:
        try:
            (repo.project / parent).rmdir()
        except OSError:
            return  # something else is in it


def go_back(repo: Repository, written: Journal, committed: Mapping[str, Entry] | None) -> None:
    """Bring every path back to the last commit.

    Args:
        committed: what the last commit has, which may be a later one than the update knew; None
            right after a failure, when a path that was changed meanwhile is left as it is.

    Raises:
        ChangedError: when somebody worked on one since, and `committed` is given.
    """
    work = journal.work_folder(repo)
    todo = []
    for number, step in enumerate(written.steps):
        target = repo.root / step.path
        state = _state(target, step)
        there = _is_back(repo, step, state, committed)
        if not there and state in (step.new, step.old, NOTHING):
            todo.append((work / "was" / str(number), target, step, state))
        elif not there and committed is not None:
            raise ChangedError(step.path)
    # What was added goes first: a folder may become a file again.
    for _, target, step, state in todo:
        if state != NOTHING:
            _take_out(repo, work, target, step, lenient=committed is None)
    for was, target, step, _ in todo:
        _bring_back(repo, was, target, step, committed)


def _is_back(
    repo: Repository, step: Step, state: str, committed: Mapping[str, Entry] | None
) -> bool:
    if committed is None:
        return state == step.old
    return repo.has(step.path, committed.get(step.path))


def _take_out(repo: Repository, work: Path, target: Path, step: Step, *, lenient: bool) -> None:
    """Remove a file that the update wrote, unless it was changed meanwhile."""
    _refuse_links_above(repo, target, step)
    out = work / "out"
    out.unlink(missing_ok=True)
    with suppress(FileNotFoundError):
        target.rename(out)
    if state_of(out) not in (step.new, step.old, NOTHING):
        with suppress(FileExistsError):
            move(out, target)
        if not lenient:
            raise ChangedError(step.path)
        return
    out.unlink(missing_ok=True)
    _remove_empty_folders(repo, target)


def _bring_back(
    repo: Repository,
    was: Path,
    target: Path,
    step: Step,
    committed: Mapping[str, Entry] | None,
) -> None:
    """Put the committed file back in its place, or the one that was saved meanwhile."""
    lines = step.old_entries if committed is None else lines_of(committed.get(step.path))
    saved = state_of(was) not in (step.old, NOTHING)
    if saved or (os.path.lexists(was) and lines == step.old_entries):
        _make_room(target)
        with suppress(FileExistsError):  # saved meanwhile
            move(was, target)
    elif lines:
        mode, oid, _ = lines[0].split()
        _check_out(repo, target, Entry(mode, oid), step)


def _check_out(repo: Repository, target: Path, entry: Entry, step: Step) -> None:
    """Write a committed file anew."""
    words = ("cat-file", "--filters", f"--path={step.path}", entry.oid)
    content = repo.run(*words)
    written = repo.folder / "restored"
    written.unlink(missing_ok=True)
    if is_file(entry):
        written.write_bytes(content)
        written.chmod(0o755 if entry.mode == "100755" else 0o644)
    else:
        written.symlink_to(os.fsdecode(content))
    with suppress(FileExistsError):
        _give(repo, written, target, step, state_of(written))
