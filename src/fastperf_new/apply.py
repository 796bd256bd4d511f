"""Applying a merge to a project: all of it or nothing, also when the process is killed.

Everything is first written to a folder in the project, `.fastperf/`: the new files, the
old ones, the new index. When its journal is there, the rest is renames that can be done
again from the start (`resume`) or taken back (`undo`), however far they came.
"""

import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from fastperf_new import git
from fastperf_new.answers import FILE
from fastperf_new.errors import NotReadyError, RefusedError
from fastperf_new.merge import Change, Entry, Merge, is_file

FOLDER = ".fastperf"

_LINK = "120000"
_NOT_READY = "{} is in the way of a file of the template: move it, then try again."


@dataclass(frozen=True)
class _Step:
    """One path: whether it had a file before, and whether it has one afterwards."""

    path: str
    old: bool
    new: bool


def unfinished(project: Path) -> bool:
    """Whether an earlier run was interrupted, or is running now."""
    return (project / FOLDER).exists()


def apply(project: Path, merge: Merge) -> None:
    """Write a merge into the project's files and index.

    Raises:
        NotReadyError: when a file that git does not know is in the way.
        RefusedError: when writing fails; everything is as it was.
    """
    _check(project, merge.changes)
    try:
        (project / FOLDER).mkdir()
    except FileExistsError:
        raise NotReadyError(
            "Another update is running here, or was interrupted:"
            " see fastperf update --continue and --abort."
        ) from None
    try:
        _stage(project, merge)
        _roll(project, forward=True)
    except BaseException as error:
        undo(project)
        if isinstance(error, OSError):
            raise RefusedError(f"Nothing was changed: {error}.") from error
        raise
    shutil.rmtree(project / FOLDER)


def resume(project: Path) -> None:
    """Finish what was interrupted.

    Raises:
        NotReadyError: when it was interrupted before there was anything to finish.
    """
    if not (project / FOLDER / "journal.json").exists():
        undo(project)
        raise NotReadyError(
            "The update was interrupted before it changed anything: start it again."
        )
    _roll(project, forward=True)
    shutil.rmtree(project / FOLDER)


def undo(project: Path) -> None:
    """Take back what was interrupted."""
    if (project / FOLDER / "journal.json").exists():
        _roll(project, forward=False)
    shutil.rmtree(project / FOLDER)


def _check(project: Path, changes: Iterable[Change]) -> None:
    """Refuse to overwrite anything that differs from HEAD, whatever git status says."""
    known = [change for change in changes if is_file(change.old)]
    prefix = git.line("rev-parse", "--show-prefix", cwd=project)
    paths = b"".join(os.fsencode(f"{prefix}{change.path}\n") for change in known)
    try:
        printed = git.run("hash-object", "--stdin-paths", cwd=_root(project), stdin=paths)
    except git.GitError as error:
        raise NotReadyError(f"A file of the project cannot be read: {error}") from None
    for change, oid in zip(known, printed.decode().split(), strict=True):
        if change.old and change.old.oid != oid:
            raise NotReadyError(
                f"{change.path} differs from what is committed, though git status hides it:"
                " commit or restore it, then try again."
            )
    for change in changes:
        for parent in list((project / change.path).relative_to(project).parents)[:-1]:
            if (project / parent).is_symlink() or (project / parent).is_file():
                raise NotReadyError(_NOT_READY.format(parent))
        if not change.old and os.path.lexists(project / change.path):
            raise NotReadyError(_NOT_READY.format(change.path))


def _stage(project: Path, merge: Merge) -> None:
    folder = project / FOLDER
    (folder / ".gitignore").write_text("*\n", encoding="utf-8")
    (folder / "new").mkdir()
    (folder / "old").mkdir()
    _copy_objects(project, merge)
    # The answers file last: it says "new" only when everything is.
    changes = sorted(merge.changes, key=lambda change: (change.path == FILE, change.path))
    steps = [
        _Step(change.path, change.old is not None, change.new is not None) for change in changes
    ]
    prefix = git.line("rev-parse", "--show-prefix", cwd=project)
    for number, change in enumerate(changes):
        if change.new:
            _write(project, folder / "new" / str(number), prefix + change.path, change.new)
        if change.old:
            shutil.copy2(project / change.path, folder / "old" / str(number), follow_symlinks=False)
    _stage_index(project, merge)
    journal = json.dumps([asdict(step) for step in steps], indent=1)
    temporary = folder / "journal.new"
    with temporary.open("w", encoding="utf-8") as file:
        file.write(journal)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(folder / "journal.json")


def _copy_objects(project: Path, merge: Merge) -> None:
    """Bring the merged files' contents into the user's repository, for its index."""
    entries = [change.new for change in merge.changes]
    entries += [entry for stages in merge.conflicts.values() for entry in stages.values()]
    oids = "".join(f"{entry.oid}\n" for entry in entries if entry)
    pack = git.run("pack-objects", "--stdout", "-q", cwd=merge.repository, stdin=oids.encode())
    git.run("unpack-objects", "-q", cwd=project, stdin=pack)


def _write(project: Path, target: Path, path: str, entry: Entry) -> None:
    """Write a file as a checkout would: line ends and filters as the user's git has them."""
    content = git.run("cat-file", "--filters", f"--path={path}", entry.oid, cwd=project)
    if entry.mode == _LINK:
        target.symlink_to(os.fsdecode(content))
        return
    target.write_bytes(content)
    if entry.mode == "100755":
        target.chmod(target.stat().st_mode | 0o111)


def _stage_index(project: Path, merge: Merge) -> None:
    """Write the index that the project shall have: all staged, conflicts in their stages."""
    folder = project / FOLDER
    for name in ("index.old", "index.new"):
        shutil.copy2(_index(project), folder / name)
    prefix = git.line("rev-parse", "--show-prefix", cwd=project)
    null = "0" * len(git.line("rev-parse", "HEAD", cwd=project))

    def entries() -> Iterator[str]:
        for change in merge.changes:
            if change.path in merge.conflicts:
                continue
            mode, oid = (change.new.mode, change.new.oid) if change.new else ("0", null)
            yield f"{mode} {oid} 0\t{prefix}{change.path}"
        for path, stages in merge.conflicts.items():
            yield f"0 {null} 0\t{prefix}{path}"
            for stage, entry in sorted(stages.items()):
                yield f"{entry.mode} {entry.oid} {stage}\t{prefix}{path}"

    git.run(
        *("update-index", "-z", "--index-info"),
        cwd=_root(project),
        env={"GIT_INDEX_FILE": str(folder / "index.new")},
        stdin=b"".join(os.fsencode(entry) + b"\0" for entry in entries()),
    )


def _root(project: Path) -> Path:
    return Path(git.line("rev-parse", "--show-toplevel", cwd=project))


def _index(project: Path) -> Path:
    return (project / git.line("rev-parse", "--git-path", "index", cwd=project)).resolve()


def _roll(project: Path, *, forward: bool) -> None:
    """Bring every path of the journal to its new state, or back to its old one."""
    folder = project / FOLDER
    steps = [_Step(**step) for step in json.loads((folder / "journal.json").read_text("utf-8"))]
    for number, step in enumerate(steps) if forward else reversed(list(enumerate(steps))):
        target = project / step.path
        if step.new if forward else step.old:
            _put(folder / ("new" if forward else "old") / str(number), target)
        else:
            target.unlink(missing_ok=True)
            _remove_empty_parents(target, project)
    _put_index(folder / ("index.new" if forward else "index.old"), _index(project))


def _put(source: Path, target: Path) -> None:
    """Replace a file in one step by a copy, so that it can be done again."""
    target.parent.mkdir(parents=True, exist_ok=True)
    copy = source.with_name(f"{source.name}.copy")
    copy.unlink(missing_ok=True)
    shutil.copy2(source, copy, follow_symlinks=False)
    os.replace(copy, target)


def _remove_empty_parents(path: Path, project: Path) -> None:
    for parent in path.parents:
        if parent == project:
            return
        with suppress(OSError):
            parent.rmdir()


def _put_index(source: Path, index: Path) -> None:
    """Replace the index as git does, holding its lock."""
    content = source.read_bytes()
    if index.read_bytes() == content:
        return
    lock = index.with_name("index.lock")
    copy = source.with_name(f"{source.name}.copy")
    copy.write_bytes(content)
    try:
        os.link(copy, lock)  # it is there whole, or not at all
    except FileExistsError:
        if lock.read_bytes() != content:  # not the one of our own interrupted run
            raise RefusedError(
                "Another git command is running here: let it finish, then try again."
            ) from None
    copy.unlink()
    lock.replace(index)
