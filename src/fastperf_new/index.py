"""Git's index, changed as git does it: whole, under its lock, and only if it is what was read."""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from fastperf_new.errors import RefusedError
from fastperf_new.moving import ChangedError, move
from fastperf_new.repository import Lines, Repository

_LOCK = b"fastperf\n"  # what our `index.lock` says
_ATTEMPTS, _PAUSE = 20, 0.1  # while another git command changes the index; seconds


def put(repo: Repository, wanted: Lines, known: Mapping[str, Sequence[list[str]]]) -> None:
    """Change lines of the index, if they are what they are known to be.

    Raises:
        ChangedError: when somebody staged one of these paths.
        RefusedError: when another git command does not let go of the index.
    """
    copy = repo.folder / "index.new"
    for _ in range(_ATTEMPTS):
        before = repo.index.read_bytes()
        copy.unlink(missing_ok=True)
        copy.write_bytes(before)
        staged = repo.staged(copy)
        for path, allowed in known.items():
            if staged.get(path, []) not in [*allowed, wanted[path]]:
                raise ChangedError(path)
        if all(staged.get(path, []) == lines for path, lines in wanted.items()):
            return
        update(repo, copy, wanted)
        if _replace_index(repo, copy, before):
            return
        time.sleep(_PAUSE)
    raise RefusedError(
        "Another git command keeps the index of the repository (index.lock):"
        " let it finish, then try again."
    )


def update(repo: Repository, index: Path, wanted: Lines) -> None:
    def commands() -> Iterator[str]:
        for path, lines in wanted.items():
            yield f"0 {repo.null} 0\t{path}"
            for line in lines:
                yield f"{line}\t{path}"

    stdin = b"".join(os.fsencode(command) + b"\0" for command in commands())
    repo.run("update-index", "-z", "--index-info", stdin=stdin, index=index)


def _replace_index(repo: Repository, copy: Path, before: bytes) -> bool:
    """Replace the index while no other git command can, if it is the one that was read."""
    lock, ours = repo.git_dir / "index.lock", repo.folder / "index.lock"
    drop_own_lock(repo)
    ours.unlink(missing_ok=True)
    ours.write_bytes(_LOCK)
    try:
        move(ours, lock)
    except FileExistsError:
        return False
    try:
        if repo.index.read_bytes() != before:
            return False
        copy.replace(repo.index)
        return True
    finally:
        lock.unlink()


def drop_own_lock(repo: Repository) -> None:
    """Remove a lock on the index that is left of a run that was killed, or of a failure."""
    lock = repo.git_dir / "index.lock"
    with suppress(FileNotFoundError):
        if lock.read_bytes() == _LOCK:
            lock.unlink()


def refuse_lock(repo: Repository) -> None:
    lock = repo.git_dir / "index.lock"
    for _ in range(_ATTEMPTS):
        if not lock.exists():
            return
        time.sleep(_PAUSE)
    raise RefusedError(
        "Another git command is running here (index.lock): let it finish, then try again."
    )
