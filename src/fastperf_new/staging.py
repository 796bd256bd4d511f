"""Checking a project against its last commit, and writing aside what it shall have."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from fastperf_new import index, journal
from fastperf_new.answers import FILE
from fastperf_new.errors import NotReadyError
from fastperf_new.journal import NOTHING, Journal, Step, state_of
from fastperf_new.merge import Change, Merge
from fastperf_new.repository import Entry, Repository, is_file, lines_of


def checked(repo: Repository, merge: Merge) -> list[Step]:
    """Return the steps as far as they are known before anything is written.

    Raises:
        NotReadyError: when a path is not what is committed, or something is in its way.
    """
    committed, staged = repo.committed(), repo.staged()
    old = {repo.prefix + change.path: change.old for change in merge.changes}
    new = {repo.prefix + change.path: change.new for change in merge.changes}
    unmerged = {repo.prefix + path: stages for path, stages in merge.conflicts.items()}
    removed = {path for path, entry in new.items() if entry is None}
    steps = []
    # The answers file last: it names the new release only when all of that is there.
    for path in sorted(old.keys() | unmerged, key=lambda path: (path == repo.prefix + FILE, path)):
        entry = committed.get(path)
        if path in old and old[path] != entry:
            raise NotReadyError("There was a commit while the update was prepared: try again.")
        if staged.get(path, []) != lines_of(entry):
            raise NotReadyError(
                f"{path} was staged while the update was prepared: commit it, then try again."
            )
        _refuse_in_the_way(repo, path, entry, removed)
        state = _old_state(repo, path, entry) if entry else NOTHING
        lines = lines_of(new.get(path))
        if path in unmerged:
            stages = sorted(unmerged[path].items())
            lines = [f"{entry.mode} {entry.oid} {stage}" for stage, entry in stages]
        steps.append(Step(path, state, state, lines_of(entry), lines))
    return steps


def stage(repo: Repository, merge: Merge) -> Journal:
    """Write aside what the project shall have, and the journal; nothing of the project changes."""
    steps = checked(repo, merge)
    work = journal.make_folders(repo)
    changes = {repo.prefix + change.path: change for change in merge.changes}
    _write_new(repo, merge, {path: change.new for path, change in changes.items() if change.new})
    for number, step in enumerate(steps):
        if change := changes.get(step.path):
            new = _with_mode(repo, work, step.path, change) if change.new else None
            steps[number] = replace(step, new=state_of(new) if new else NOTHING)
    written = Journal(repo.prefix, steps)
    journal.write(repo, written)
    return written


def _write_new(repo: Repository, merge: Merge, entries: Mapping[str, Entry]) -> None:
    """Write files as a checkout would: line ends and filters as the user's git has them."""
    stages = [entry for stages in merge.conflicts.values() for entry in stages.values()]
    oids = "".join(f"{entry.oid}\n" for entry in [*entries.values(), *stages])
    repo.run("unpack-objects", "-q", stdin=merge.pack(oids))
    listed = repo.folder / "index.files"
    index.update(repo, listed, {path: lines_of(entry) for path, entry in entries.items()})
    words = ("checkout-index", "--all", f"--prefix={journal.work_folder(repo) / 'new'}/")
    repo.run(*words, index=listed)


def _with_mode(repo: Repository, work: Path, path: str, change: Change) -> Path:
    """Give a new file the permissions of the one that it replaces; return where it is."""
    new, old = work / "new" / path, repo.root / path
    if change.old and change.new and is_file(change.old) and is_file(change.new):
        same = change.old.mode == change.new.mode
        mode = old.stat().st_mode & (0o777 if same else 0o666)
        new.chmod(mode | (0 if same else new.stat().st_mode & 0o111))
    return new


def _refuse_in_the_way(repo: Repository, path: str, entry: Entry | None, removed: set[str]) -> None:
    target = repo.root / path
    for parent in target.relative_to(repo.project).parents[:-1]:
        above = repo.project / parent
        if (above.is_symlink() or above.is_file()) and repo.prefix + str(parent) not in removed:
            raise NotReadyError(f"{parent} is in the way of the template: move it first.")
    folder = any(one.startswith(f"{path}/") for one in removed)  # it is empty by then
    if entry is None and os.path.lexists(target) and not (folder and target.is_dir()):
        raise NotReadyError(f"{path} is in the way of the template: move it first.")


def _old_state(repo: Repository, path: str, entry: Entry) -> str:
    """Return a path's state, which is what is committed, whatever git status says.

    Raises:
        NotReadyError: when it is not.
    """
    target = repo.root / path
    # Content and state come from one reading: what is compared later is what was checked.
    try:
        if target.is_symlink():
            link = os.readlink(target)
            state, same = journal.link_state(link), repo.holds(path, entry, os.fsencode(link))
        else:
            content = target.read_bytes()
            state = journal.file_state(content, target.stat().st_mode)
            same = repo.holds(path, entry, content)
    except FileNotFoundError:
        raise NotReadyError(
            f"{path} is not in the work tree: bring it back with git restore, or where the checkout"
            " is sparse with git sparse-checkout disable, then try again."
        ) from None
    except OSError as error:
        raise NotReadyError(
            f"{path} cannot be read ({error.strerror}): restore it first."
        ) from None
    if not same:
        raise NotReadyError(
            f"{path} differs from what is committed, though git status hides it:"
            " commit or restore it, then try again."
        )
    return state
