"""Applying a merge to a project: all of it or nothing, also when the process is killed.

Everything is first written to a folder in the repository's git directory: the new files,
the old ones, the new index. Once its journal is there, every path can be brought to its
new state (`resume`) or back to its old one (`undo`), however far the work came; a path in
neither state was changed by someone else since, and is never overwritten.
"""

import hashlib
import json
import os
import shlex
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from fastperf_new import git
from fastperf_new.answers import FILE
from fastperf_new.errors import NotReadyError, RefusedError
from fastperf_new.merge import Change, Entry, Merge, is_file

NOTHING = ""  # the state of a path where no file is


@dataclass(frozen=True)
class _Step:
    """One path of the project, and its state before and after."""

    path: str
    old: str
    new: str


@dataclass(frozen=True)
class _Journal:
    """What is to be done, and to which repository: it must still be that one."""

    prefix: str  # of the project in its repository
    head: str
    old_index: str
    new_index: str
    steps: list[_Step]


def interrupted(project: Path) -> bool:
    """Whether an earlier run was interrupted here, or is running now."""
    return (_folder(project) / "journal.json").exists()


def apply(project: Path, merge: Merge) -> None:
    """Write a merge into the project's files and index.

    Raises:
        NotReadyError: when a file that git does not know is in the way.
        RefusedError: when writing fails; everything is as it was, or the message says how
            to get there.
    """
    _check(project, merge.changes)
    with _lock(project):
        if interrupted(project):
            raise NotReadyError(
                "An update was interrupted here:"
                " finish it with fastperf update --continue or take it back with --abort."
            )
        try:
            _stage(project, merge)
            _roll(project, forward=True)
        except BaseException as error:
            _take_back(project, error)
            raise
        try:
            _clean(project)
        except OSError as error:
            raise RefusedError(
                f"The update is in, but not cleaned up after ({error}):"
                " mend that, then run fastperf update --continue."
            ) from error


def resume(project: Path) -> None:
    """Finish what was interrupted.

    Raises:
        NotReadyError: when there is nothing to finish, or it was worked on since.
    """
    with _lock(project):
        _roll(project, forward=True)
        _clean(project)


def undo(project: Path) -> None:
    """Take back what was interrupted.

    Raises:
        NotReadyError: when there is nothing to take back, or it was worked on since.
    """
    with _lock(project):
        # Every update and change writes the answers file.
        staged = git.line("diff", "--cached", "--name-only", "HEAD", "--", FILE, cwd=project)
        if staged and not interrupted(project):
            raise NotReadyError(
                "No update was interrupted here, but one is in and not committed:"
                f" take it back with {way_back(project)}."
            )
        _roll(project, forward=False)
        _clean(project)


def way_back(project: Path) -> str:
    """Return what to type to be back at the last commit, a repository around it left alone."""
    if _prefix(project):
        return shlex.join(["git", "restore", "--staged", "--worktree", os.path.relpath(project)])
    return "git reset --hard"


def _take_back(project: Path, error: BaseException) -> None:
    """Undo after a failure; what was told wrong is told as one sentence."""
    try:
        if interrupted(project):
            _roll(project, forward=False)
        _clean(project)
    except (OSError, RefusedError) as second:
        raise RefusedError(
            f"The update failed ({error}), and could not be taken back ({second}):"
            " mend that, then run fastperf update --abort."
        ) from error
    if isinstance(error, OSError):
        raise RefusedError(f"Nothing was changed: {error}.") from error


# --- where things are -----------------------------------------------------------------------


def _git_path(project: Path, name: str) -> Path:
    return (project / git.line("rev-parse", "--git-path", name, cwd=project)).absolute()


def _folder(project: Path) -> Path:
    return _git_path(project, "fastperf")


def _root(project: Path) -> Path:
    return Path(git.line("rev-parse", "--show-toplevel", cwd=project))


def _prefix(project: Path) -> str:
    return git.line("rev-parse", "--show-prefix", cwd=project)


@contextmanager
def _lock(project: Path) -> Iterator[None]:
    """Keep a second run out; the system lets go of the lock when the process ends."""
    try:
        with FileLock(_git_path(project, "fastperf.lock"), timeout=0):
            yield
    except Timeout:
        raise NotReadyError("Another update is running here: let it finish first.") from None


# --- before anything is written -------------------------------------------------------------


def _check(project: Path, changes: list[Change]) -> None:
    """Refuse to overwrite anything that differs from HEAD, whatever git status says."""
    known = [change for change in changes if is_file(change.old)]
    prefix = _prefix(project)
    paths = b"".join(_quoted(f"{prefix}{change.path}") for change in known)
    found = []
    for words in (["--stdin-paths"], ["--stdin-paths", "--no-filters"]):
        try:
            printed = git.run("hash-object", *words, cwd=_root(project), stdin=paths)
        except git.GitError as error:
            raise NotReadyError(f"A file of the project cannot be read: {error}") from None
        found.append(printed.decode().split())
    for change, *oids in zip(known, *found, strict=True):
        if change.old and change.old.oid not in oids:
            raise NotReadyError(
                f"{change.path} differs from what is committed, though git status hides it:"
                " commit or restore it, then try again."
            )
    for change in changes:
        for parent in list(Path(change.path).parents)[:-1]:
            if (project / parent).is_symlink() or (project / parent).is_file():
                raise NotReadyError(f"{parent} is in the way of the template: move it first.")
        if not change.old and os.path.lexists(project / change.path):
            raise NotReadyError(f"{change.path} is in the way of the template: move it first.")


def _quoted(path: str) -> bytes:
    """Quote a path as git reads it, one a line."""
    for character, escape in (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n")):
        path = path.replace(character, escape)
    return os.fsencode(f'"{path}"\n')


# --- staging --------------------------------------------------------------------------------


def _stage(project: Path, merge: Merge) -> None:
    folder = _folder(project)
    shutil.rmtree(folder, ignore_errors=True)  # one without a journal did nothing
    (folder / "new").mkdir(parents=True)
    (folder / "old").mkdir()
    _copy_objects(project, merge)
    # The answers file last: it names the new release only when all of that is there.
    changes = sorted(merge.changes, key=lambda change: (change.path == FILE, change.path))
    steps = []
    prefix = _prefix(project)
    for number, change in enumerate(changes):
        old, new = folder / "old" / str(number), folder / "new" / str(number)
        if change.old:
            shutil.copy2(project / change.path, old, follow_symlinks=False)
        if change.new:
            _write(project, new, prefix + change.path, change.new)
            if change.old and is_file(change.old) and is_file(change.new):
                same = change.old.mode == change.new.mode
                mode = old.stat().st_mode & (0o777 if same else 0o666)
                new.chmod(mode | (0 if same else new.stat().st_mode & 0o111))
        steps.append(_Step(change.path, _state(old), _state(new)))
    old_index, new_index = _stage_index(project, merge)
    head = git.line("rev-parse", "HEAD", cwd=project)
    journal = _Journal(prefix, head, old_index, new_index, steps)
    (folder / "journal.new").write_text(json.dumps(asdict(journal), indent=1), "utf-8")
    if hasattr(os, "sync"):
        os.sync()  # the journal must not outlive a power cut that its files do not
    (folder / "journal.new").replace(folder / "journal.json")


def _copy_objects(project: Path, merge: Merge) -> None:
    """Bring the merged files' contents into the user's repository, for its index."""
    entries = [change.new for change in merge.changes]
    entries += [entry for stages in merge.conflicts.values() for entry in stages.values()]
    oids = "".join(f"{entry.oid}\n" for entry in entries if entry)
    git.run("unpack-objects", "-q", cwd=project, stdin=merge.pack(oids))


def _write(project: Path, target: Path, path: str, entry: Entry) -> None:
    """Write a file as a checkout would: line ends and filters as the user's git has them."""
    content = git.run("cat-file", "--filters", f"--path={path}", entry.oid, cwd=project)
    if not is_file(entry):
        target.symlink_to(os.fsdecode(content))
        return
    target.write_bytes(content)
    if entry.mode == "100755":
        target.chmod(target.stat().st_mode | 0o111)


def _stage_index(project: Path, merge: Merge) -> tuple[str, str]:
    """Write the index that the project shall have: all staged, conflicts in their stages."""
    folder, root, prefix = _folder(project), _root(project), _prefix(project)
    for name in ("index.old", "index.new"):
        shutil.copy2(_git_path(project, "index"), folder / name)
    null = "0" * len(git.line("rev-parse", "HEAD", cwd=project))

    def entries() -> Iterator[str]:
        for change in merge.changes:
            if change.path not in merge.conflicts:
                mode, oid = (change.new.mode, change.new.oid) if change.new else ("0", null)
                yield f"{mode} {oid} 0\t{prefix}{change.path}"
        for path, stages in merge.conflicts.items():
            yield f"0 {null} 0\t{prefix}{path}"
            for stage, entry in sorted(stages.items()):
                yield f"{entry.mode} {entry.oid} {stage}\t{prefix}{path}"

    git.run(
        *("update-index", "-z", "--index-info"),
        cwd=root,
        env={"GIT_INDEX_FILE": str(folder / "index.new")},
        stdin=b"".join(os.fsencode(entry) + b"\0" for entry in entries()),
    )
    return _index_state(project, folder / "index.old"), _index_state(project, folder / "index.new")


# --- rolling --------------------------------------------------------------------------------


def _state(path: Path) -> str:
    """Return what tells one state of a path from another."""
    if path.is_symlink():
        return f"link {os.readlink(path)}"
    if not path.exists():
        return NOTHING
    if not path.is_file():
        return "no file"
    executable = "x" if path.stat().st_mode & 0o100 else "-"
    return f"{executable} {hashlib.sha256(path.read_bytes()).hexdigest()}"


def _index_state(project: Path, index: Path) -> str:
    """Return the same for an index; its bytes change with every look that git takes."""
    listed = git.run(
        "ls-files", "--stage", "-z", cwd=_root(project), env={"GIT_INDEX_FILE": str(index)}
    )
    return hashlib.sha256(listed).hexdigest()


def _roll(project: Path, *, forward: bool) -> None:
    """Bring every path of the journal to its new state, or back to its old one."""
    folder = _folder(project)
    journal = _read_journal(project)
    pending = []
    for number, step in enumerate(journal.steps):
        wanted, other = (step.new, step.old) if forward else (step.old, step.new)
        state = _state(project / step.path)
        if state not in (wanted, other):
            raise NotReadyError(
                f"{step.path} was changed after the update was interrupted:"
                " put your change elsewhere and restore the file, then try again."
            )
        if state != wanted:
            pending.append((number, step.path, wanted, other))
    # Removals first: what was a file may become a folder.
    for number, path, wanted, other in sorted(pending, key=lambda step: step[2] != NOTHING):
        source = folder / ("new" if forward else "old") / str(number)
        _put(source, project / path, wanted, other, project)
    for step in journal.steps:
        _beside(project / step.path).unlink(missing_ok=True)
    _put_index(project, "index.new" if forward else "index.old")


def _read_journal(project: Path) -> _Journal:
    """Read the journal, if the repository still is as it was then."""
    try:
        content = json.loads((_folder(project) / "journal.json").read_text("utf-8"))
    except FileNotFoundError:
        raise NotReadyError(
            "No update was interrupted here: there is nothing to finish or to take back."
        ) from None
    steps = [_Step(**step) for step in content.pop("steps")]
    journal = _Journal(**content, steps=steps)
    if journal.prefix != _prefix(project):
        raise NotReadyError(
            f"It was in {journal.prefix or 'the root'} that an update was interrupted."
        )
    if journal.head != git.line("rev-parse", "HEAD", cwd=project):
        raise NotReadyError(
            "There were commits after the update was interrupted:"
            f" go back with git reset --soft {journal.head[:12]}, then try again."
        )
    if _index_state(project, _git_path(project, "index")) not in (
        journal.old_index,
        journal.new_index,
    ):
        raise NotReadyError(
            "Something was staged after the update was interrupted:"
            " take it back with git restore --staged, then try again."
        )
    return journal


def _beside(target: Path) -> Path:
    return target.with_name(f".{target.name[:200]}.fastperf")


def _put(source: Path, target: Path, wanted: str, other: str, project: Path) -> None:
    """Bring one path from one state to the other, in one step."""
    if wanted == NOTHING:
        target.unlink(missing_ok=True)
        for parent in target.parents:
            if parent == project or any(parent.iterdir()):
                break
            parent.rmdir()
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    copy = _beside(target)
    copy.unlink(missing_ok=True)
    shutil.copy2(source, copy, follow_symlinks=False)
    if _state(target) != other:
        raise NotReadyError(f"{target.name} was changed just now: save your work, then try again.")
    copy.replace(target)


def _put_index(project: Path, name: str) -> None:
    """Replace the index as git does, holding its lock."""
    folder, index = _folder(project), _git_path(project, "index")
    lock, copy = index.with_name("index.lock"), index.with_name("index.fastperf")
    ours = [(folder / staged).read_bytes() for staged in ("index.old", "index.new")]
    if lock.exists() and lock.read_bytes() in ours:
        lock.unlink()  # of our own run that was killed
    if _index_state(project, index) == _index_state(project, folder / name):
        return
    shutil.copyfile(folder / name, copy)
    try:
        _link(copy, lock)
    except FileExistsError:
        raise RefusedError(
            "Another git command is running here: let it finish, then try again."
        ) from None
    finally:
        copy.unlink()
    lock.replace(index)


def _link(source: Path, target: Path) -> None:
    """Make a file that must not be there yet: whole or not at all, where there are links."""
    try:
        os.link(source, target)
    except FileExistsError:
        raise
    except OSError:
        with target.open("xb") as file:
            file.write(source.read_bytes())


def _clean(project: Path) -> None:
    """Remove the folder, the journal first: without it there is nothing to finish."""
    (_folder(project) / "journal.json").unlink(missing_ok=True)
    shutil.rmtree(_folder(project), ignore_errors=True)
