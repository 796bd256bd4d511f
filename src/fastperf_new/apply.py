"""Applying a merge to a project: all of it or nothing, also when the process is killed.

The new files are written aside, then a journal (`journal.py`), then file by file the old one
is renamed away, compared with what was committed, and the new one linked in its place, which
fails when something is there. So a file that somebody saves meanwhile is noticed, whenever that
is, and never overwritten. Git's index is replaced last, if it still is the one that was read.
"""

import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from filelock import FileLock, Timeout

from fastperf_new import index, journal, moving, staging, stopping
from fastperf_new.answers import FILE
from fastperf_new.errors import NotReadyError, RefusedError
from fastperf_new.journal import NOTHING, DamagedError, Journal, state_of
from fastperf_new.merge import Merge
from fastperf_new.moving import ChangedError
from fastperf_new.repository import Entry, Repository, lines_of

_UNFINISHED = (
    "An update was interrupted here:"
    " finish it with fastperf update --continue or take it back with fastperf update --abort."
)


def apply(repo: Repository, merge: Merge) -> None:
    """Write a merge into the project's files and index.

    Raises:
        NotReadyError: when a file that git does not know is in the way, or somebody works on
            the project meanwhile.
        RefusedError: when writing fails; everything is as it was, or the message says how
            to get there.
    """
    staging.checked(repo, merge)  # what can be refused is, before anything is written
    with _lock(repo):
        check_finished(repo)
        index.refuse_lock(repo)
        _clear(repo)
        try:
            written = staging.stage(repo, merge)
            _forward(repo, written)
        except BaseException as error:
            stopping.hold()
            _take_back(repo, error)
            raise
        stopping.hold()  # it is in: what is left is to tidy up and to say so
        _finish(repo)


def resume(repo: Repository) -> None:
    """Finish what was interrupted.

    Raises:
        NotReadyError: when there is nothing to finish, or it was worked on since.
    """
    with _lock(repo):
        written = _read(repo)
        try:
            _forward(repo, written)
        except ChangedError as changed:
            raise NotReadyError(_changed_since(changed.path)) from None
        stopping.hold()
        _finish(repo)


def undo(repo: Repository) -> None:
    """Bring everything that an interrupted update wrote back to the last commit.

    Raises:
        NotReadyError: when there is nothing to undo, or it was worked on since.
    """
    with _lock(repo):
        if not journal.is_there(repo):
            words = ("diff", "--cached", "--name-only", "HEAD", "--", f"{repo.prefix}{FILE}")
            if repo.run(*words):  # every update and change writes the answers file
                raise NotReadyError(
                    "No update was interrupted here, but one is in and not committed:"
                    f" take it back with {way_back(repo)}."
                )
        written = _read(repo)
        try:
            _back(repo, written, repo.committed())
        except ChangedError as changed:
            raise NotReadyError(_changed_since(changed.path)) from None
        stopping.hold()
        _finish(repo)


def way_back(repo: Repository) -> str:
    """Return what to type to be back at the last commit, a repository around it left alone."""
    if repo.prefix:
        return shlex.join(["git", "restore", "--staged", "--worktree", _pathspec(repo)])
    return "git reset --hard"


def _pathspec(repo: Repository) -> str:
    """Return what names the project to git, from any folder of its repository."""
    return f":/{repo.prefix}"


def _changed_since(path: str) -> str:
    return (
        f"{path} was changed after the update was interrupted:"
        " move your version elsewhere, then try again."
    )


# --- what was interrupted -------------------------------------------------------------------


def unfinished(repo: Repository) -> bool:
    """Return whether an interrupted update left anything that differs from the last commit.

    Raises:
        GitError: when git cannot say.
    """
    if not journal.is_there(repo):
        return False
    try:
        written = journal.read(repo)
    except DamagedError:
        return bool(changes(repo))
    committed, staged = repo.committed(), repo.staged()
    return not all(
        repo.has(step.path, committed.get(step.path))
        and staged.get(step.path, []) == lines_of(committed.get(step.path))
        for step in written.steps
    )


def check_finished(repo: Repository) -> None:
    """Refuse while an interrupted update is neither finished nor undone.

    Raises:
        NotReadyError: then, with the ways on.
    """
    if unfinished(repo):
        raise NotReadyError(_way_on(repo))


def _way_on(repo: Repository) -> str:
    try:
        written = journal.read(repo)
    except DamagedError:
        where = shlex.quote(_pathspec(repo))
        return (
            "The journal of an interrupted update is damaged: bring the project to its last commit"
            f" with git reset -q -- {where} and git stash push -u -- {where},"
            " which keeps what you changed, then try again."
        )
    if written.prefix != repo.prefix:
        return (
            f"An update was interrupted in {written.prefix or 'the root of the repository'}:"
            " run fastperf update --continue or fastperf update --abort there."
        )
    return _UNFINISHED


def changes(repo: Repository, *, where: str = "") -> list[str]:
    """Return what `git status` says of the project, or of one path of it; untracked files too.

    Raises:
        GitError: when git cannot say.
    """
    path = f"{repo.prefix}{where}" or "."
    words = ("status", "--porcelain", "--untracked-files=all", "--", path)
    return repo.run(*words).decode(errors="replace").splitlines()


def project_files(repo: Repository) -> set[str]:
    """Return the project's files in the last commit, by path from its folder.

    Raises:
        GitError: when git cannot say.
    """
    return {path.removeprefix(repo.prefix) for path in repo.committed()}


def _read(repo: Repository) -> Journal:
    if not journal.is_there(repo):
        raise NotReadyError(
            "No update was interrupted here: there is nothing to finish or to take back."
        )
    try:
        written = journal.read(repo)
    except DamagedError:
        if not changes(repo):
            _clear(repo)
            raise NotReadyError(
                "The project is at its last commit: there is nothing to finish or to take back."
            ) from None
        raise NotReadyError(_way_on(repo)) from None
    if written.prefix != repo.prefix:
        raise NotReadyError(_way_on(repo))
    return written


def _clear(repo: Repository) -> None:
    """Make room for a new update: what is left of an old one is removed, or kept aside."""
    if not journal.is_there(repo):
        return
    try:
        written = journal.read(repo)
    except DamagedError:
        journal.put_aside(repo)
        return
    if _has_saved(repo, written):
        journal.put_aside(repo)
    else:
        journal.forget(repo)


def _has_saved(repo: Repository, written: Journal) -> bool:
    """Return whether the files that were renamed away hold work that is nowhere else."""
    was = journal.work_folder(repo) / "was"
    return any(was.glob("*.saved")) or any(
        state_of(was / str(number)) not in (step.old, NOTHING)
        for number, step in enumerate(written.steps)
    )


def _take_back(repo: Repository, error: BaseException) -> None:
    """Undo after a failure; what went wrong becomes one sentence."""
    try:
        index.drop_own_lock(repo)
        if journal.is_there(repo):
            _back(repo, journal.read(repo), None)
            _clear(repo)
        else:
            journal.forget(repo)
    except (OSError, RefusedError, DamagedError) as second:
        raise RefusedError(
            f"The update failed ({_reason(error)}), and could not be taken back ({second}):"
            " mend that, then run fastperf update --abort."
        ) from error
    if isinstance(error, ChangedError):
        raise NotReadyError(
            f"{error.path} was changed while the update ran, and stays as it is; nothing else"
            " was changed: commit your work, then try again."
        ) from None
    if isinstance(error, OSError):
        raise RefusedError(f"Nothing was changed: {error}.") from error


def _reason(error: BaseException) -> str:
    if isinstance(error, stopping.Stopped):
        return "it was stopped"
    return f"{error} was changed" if isinstance(error, ChangedError) else str(error)


def _finish(repo: Repository) -> None:
    try:
        _clear(repo)
    except OSError as error:
        raise RefusedError(
            f"All is done, but not tidied up after ({error}):"
            " mend that, then run fastperf update --continue."
        ) from error


@contextmanager
def _lock(repo: Repository) -> Iterator[None]:
    """Keep a second run out; the system lets go of the lock when the process ends."""
    try:
        with FileLock(repo.git_dir / "fastperf.lock", timeout=0):
            index.drop_own_lock(repo)
            yield
    except Timeout:
        raise NotReadyError("Another update is running here: let it finish first.") from None


# --- the files, then the index ---------------------------------------------------------------


def _forward(repo: Repository, written: Journal) -> None:
    moving.go_forward(repo, written)
    known = {step.path: (step.old_entries, step.new_entries) for step in written.steps}
    wanted = {step.path: step.new_entries for step in written.steps}
    index.put(repo, wanted, known)


def _back(repo: Repository, written: Journal, committed: Mapping[str, Entry] | None) -> None:
    moving.go_back(repo, written, committed)
    _put_index_back(repo, written, committed)


def _put_index_back(
    repo: Repository, written: Journal, committed: Mapping[str, Entry] | None
) -> None:
    """Take out of the index what the update put there; what was staged since stays."""
    staged = repo.staged()
    wanted = {
        step.path: step.old_entries if committed is None else lines_of(committed.get(step.path))
        for step in written.steps
        if staged.get(step.path, []) == step.new_entries != step.old_entries
    }
    known = {step.path: (step.new_entries, step.old_entries) for step in written.steps}
    if wanted:
        index.put(repo, wanted, {path: known[path] for path in wanted})
