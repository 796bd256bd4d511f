"""Merging a new render into the user's work: git does it, in a repository of its own.

The base is a render of the release and the answers that the project records, one side is
the user's HEAD, the other a render of what it shall become. The scratch repository
borrows the user's objects and leaves theirs untouched.
"""

import os
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory

from fastperf_new import adjacent, git

# What belongs to the user after `new`: a template that added or removed a migration
# would leave a database that points at nothing, or two heads.
USERS_OWN = ("migrations/versions",)


@dataclass(frozen=True)
class Entry:
    """A file in a tree: its mode as git writes it, and its content's id."""

    mode: str
    oid: str


def is_file(entry: Entry | None) -> bool:
    """Whether it is a regular file, not a link or another repository."""
    return entry is not None and entry.mode in ("100644", "100755")


@dataclass(frozen=True)
class Change:
    """What a path becomes; None is no file."""

    path: str
    old: Entry | None
    new: Entry | None


@dataclass(frozen=True)
class Merge:
    """A finished merge; paths are relative to the project's folder.

    Attributes:
        changes: what differs from HEAD, conflict markers included.
        conflicts: the versions (1 base, 2 user's, 3 template's) of each file that git
            could not merge.
        left_deleted: files that the user deleted and the template changed.
    """

    repository: Path
    changes: list[Change]
    conflicts: dict[str, dict[int, Entry]]
    left_deleted: list[str]

    def diff(self) -> str:
        """Return the changes as a unified diff."""
        return git.run(
            "diff-tree", "-p", "-r", "--find-renames", "ours", "merged", cwd=self.repository
        ).decode(errors="replace")


@contextmanager
def merged(project: Path, old: Path, new: Path, label: str) -> Iterator[Merge]:
    """Merge what changed from `old` to `new`, two renders, into the project's HEAD.

    Args:
        project: the project's folder, anywhere inside a repository.
        old: a render of what the project records; loses the folders in `USERS_OWN`.
        new: a render of what it shall become; loses them too.
        label: what stands at the template's side of a conflict.

    Raises:
        GitError: when git cannot merge at all.
    """
    for render in (old, new):
        for own in USERS_OWN:
            rmtree(render / own, ignore_errors=True)
    with TemporaryDirectory(prefix="fastperf-") as folder:
        repository = Path(folder)
        _init(repository, project)
        prefix = git.line("rev-parse", "--show-prefix", cwd=project)
        ours_tree = git.line("rev-parse", f"HEAD:{prefix}", cwd=project)

        base = _commit(repository, _tree(repository, old))
        ours = _commit(repository, ours_tree, base)
        theirs = _commit(repository, _tree(repository, new), base)
        for name, commit in (("ours", ours), ("yours", ours), (label, theirs)):
            git.run("branch", name, commit, cwd=repository)

        printed = git.run(
            *("merge-tree", "--write-tree", "--allow-unrelated-histories", "-z", "yours", label),
            cwd=repository,
            env=git.OURS,
            allowed=(0, 1),
        )
        tree, conflicts = _parse(printed)
        left_deleted = _keep_deleted(conflicts)
        settled = dict.fromkeys(left_deleted) | _settle_adjacent(repository, conflicts)
        tree = _replace(repository, tree, settled)
        git.run("branch", "merged", _commit(repository, tree), cwd=repository)
        yield Merge(
            repository, list(_changes(repository, ours_tree, tree)), conflicts, left_deleted
        )


def _init(repository: Path, project: Path) -> None:
    kind = git.line("rev-parse", "--show-object-format", cwd=project) or "sha1"
    git.run("init", "--bare", "-q", f"--object-format={kind}", ".", cwd=repository, env=git.OURS)
    objects = git.line("rev-parse", "--git-path", "objects", cwd=project)
    alternates = repository / "objects" / "info" / "alternates"
    alternates.parent.mkdir(exist_ok=True)
    alternates.write_text(f"{(project / objects).resolve()}\n", encoding="utf-8")


def _tree(repository: Path, folder: Path) -> str:
    """Write a folder as a tree, ignored files included."""
    index = {"GIT_INDEX_FILE": str(repository / f"{folder.name}.index")}
    work = ("--git-dir", str(repository), "--work-tree", str(folder), "-c", "core.autocrlf=false")
    git.run(*work, "add", "--all", "--force", ".", cwd=folder, env={**git.OURS, **index})
    return git.run("write-tree", cwd=repository, env=index).decode().strip()


def _commit(repository: Path, tree: str, *parents: str) -> str:
    options = [word for parent in parents for word in ("-p", parent)]
    printed = git.run("commit-tree", tree, *options, "-m", "-", cwd=repository, env=git.OURS)
    return printed.decode().strip()


def _parse(printed: bytes) -> tuple[str, dict[str, dict[int, Entry]]]:
    """Read `git merge-tree -z`: the tree, then the stages of conflicts, then messages."""
    tree, *lines = printed.split(b"\0")
    conflicts: dict[str, dict[int, Entry]] = defaultdict(dict)
    for entry in lines:
        if not entry:
            break
        stage, _, path = entry.partition(b"\t")
        mode, oid, number = stage.decode().split()
        conflicts[os.fsdecode(path)][int(number)] = Entry(mode, oid)
    return tree.decode(), dict(conflicts)


def _keep_deleted(conflicts: dict[str, dict[int, Entry]]) -> list[str]:
    """Settle in the user's favour: a file that they deleted stays deleted."""
    deleted = sorted(path for path, stages in conflicts.items() if stages.keys() == {1, 3})
    for path in deleted:
        del conflicts[path]
    return deleted


def _settle_adjacent(
    repository: Path, conflicts: dict[str, dict[int, Entry]]
) -> dict[str, Entry | None]:
    """Settle the conflicts that are only edits on neighbouring lines."""
    settled: dict[str, Entry | None] = {}
    for path, stages in list(conflicts.items()):
        if stages.keys() != {1, 2, 3} or any(not is_file(entry) for entry in stages.values()):
            continue
        versions = [git.run("cat-file", "blob", stages[n].oid, cwd=repository) for n in (1, 2, 3)]
        content = adjacent.merge(*versions)
        if content is not None:
            printed = git.run("hash-object", "-w", "--stdin", cwd=repository, stdin=content)
            settled[path] = Entry(stages[2].mode, printed.decode().strip())
            del conflicts[path]
    return settled


def _replace(repository: Path, tree: str, entries: dict[str, Entry | None]) -> str:
    """Return a tree with some files replaced, or with None removed."""
    if not entries:
        return tree
    index = {"GIT_INDEX_FILE": str(repository / "settled.index")}
    git.run("read-tree", tree, cwd=repository, env=index)
    null = "0" * len(tree)
    lines = b"".join(
        os.fsencode(f"{entry.mode} {entry.oid} 0\t{path}" if entry else f"0 {null}\t{path}") + b"\0"
        for path, entry in entries.items()
    )
    git.run("update-index", "-z", "--index-info", cwd=repository, env=index, stdin=lines)
    return git.run("write-tree", cwd=repository, env=index).decode().strip()


def _changes(repository: Path, old: str, new: str) -> Iterator[Change]:
    printed = git.run("diff-tree", "-r", "-z", "--no-renames", old, new, cwd=repository)
    words = iter(printed.split(b"\0")[:-1])
    for header, path in zip(words, words, strict=True):
        old_mode, new_mode, old_oid, new_oid, status = header.decode().removeprefix(":").split()
        yield Change(
            os.fsdecode(path),
            None if status == "A" else Entry(old_mode, old_oid),
            None if status == "D" else Entry(new_mode, new_oid),
        )
