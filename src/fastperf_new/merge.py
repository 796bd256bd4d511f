"""Merging a new render into the user's work: git does it, in a repository of its own.

The base is a render of the release and the answers that the project records, one side is
the user's HEAD, the other a render of what it shall become. The scratch repository
borrows the user's objects and leaves theirs untouched.
"""

import ast
import os
import tomllib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory

from fastperf_new import git, imports, neighbours, relocating, tidying
from fastperf_new.answers import FILE
from fastperf_new.changes import Moves
from fastperf_new.errors import NotReadyError
from fastperf_new.relocating import Relocated
from fastperf_new.repository import Entry, Repository, is_file
from fastperf_new.scratch import Scratch

# What belongs to the user after `new`: a template that added or removed a migration
# would leave a database that points at nothing, or two heads.
USERS_OWN = ("migrations/versions",)

# Files whose lines stand for themselves: each registers or lists one thing.
WIRING = frozenset(
    {"app/main.py", "pyproject.toml", ".env.example", ".gitignore", "README.md", "AGENTS.md"}
    | {"docs/performance.md"}
)

# Each line of it is a setting: of two that are added at one place, both are meant.
SETTINGS = "app/settings.py"


@dataclass(frozen=True)
class Change:
    """What a path becomes; None is no file."""

    path: str
    old: Entry | None
    new: Entry | None


@dataclass(frozen=True)
class Conflict:
    """A file that could not be merged.

    Attributes:
        stages: which of 1 base, 2 the user's, 3 the template's there are.
        marked: whether its text has git's conflict markers.
    """

    path: str
    stages: tuple[int, ...]
    marked: bool


@dataclass(frozen=True)
class Merge:
    """A finished merge; paths are relative to the project's folder.

    Attributes:
        changes: what differs from HEAD, conflict markers included.
        conflicts: the versions (1 base, 2 user's, 3 template's) of each file that could
            not be merged.
        left_deleted: files that the user deleted and the template changed.
        renamed: what the user renamed, as old and new path.
        broken: imports that lead nowhere in the merge and did not before.
        moved: what a release moved, in the user's commit.
    """

    scratch: Scratch
    changes: list[Change]
    conflicts: dict[str, dict[int, Entry]]
    left_deleted: list[str]
    renamed: dict[str, str]
    broken: list[str]
    moved: Relocated

    def undecided(self) -> list[Conflict]:
        """Return what is left to the user to decide."""
        return [
            Conflict(path, tuple(sorted(stages)), self._is_marked(path))
            for path, stages in sorted(self.conflicts.items())
        ]

    def _is_marked(self, path: str) -> bool:
        return any(line.startswith(b"<<<<<<< yours") for line in self._lines(path))

    def unsure(self) -> list[str]:
        """Return what looks like a reference to something that moved, by file and line."""
        return [
            f"{path}:{number}: {text}"
            for path, text in self.moved.unsure
            for number, line in enumerate(self._lines(path), 1)
            if text.encode() in line
        ]

    def _lines(self, path: str) -> list[bytes]:
        if not self.scratch.has("merged", path):
            return []
        return self.scratch.run("cat-file", "blob", f"merged:{path}").splitlines()

    def pack(self, oids: str) -> bytes:
        """Return a pack of contents, one id a line."""
        return self.scratch.run("pack-objects", "--stdout", "-q", stdin=oids.encode())

    def diff(self) -> str:
        """Return the changes as a unified diff."""
        return self.scratch.run("diff-tree", "-p", "-r", "--find-renames", "head", "merged").decode(
            errors="replace"
        )


@contextmanager
def merged(
    repo: Repository, old: Path, new: Path, label: str, moves: Moves | None = None
) -> Iterator[Merge]:
    """Merge what changed from `old` to `new`, two renders, into the project's HEAD.

    Args:
        repo: the project's repository.
        old: a render of what the project records; loses the folders in `USERS_OWN`.
        new: a render of what it shall become; loses them too.
        label: what stands at the template's side of a conflict.
        moves: what moved from `old` to `new`; it moves in the user's commit too.

    Raises:
        GitError: when git cannot merge at all.
        NotReadyError: when something of the user's is where a file moves to.
    """
    for render in (old, new):
        for own in USERS_OWN:
            rmtree(render / own, ignore_errors=True)
    with TemporaryDirectory(prefix="fastperf-", ignore_cleanup_errors=True) as folder:
        scratch = Scratch(Path(folder), repo)
        head = git.line("rev-parse", "--verify", f"HEAD:{repo.prefix}", cwd=repo.root)
        base, theirs = scratch.tree_of(old), scratch.tree_of(new)
        # What the answers file says is for the command to write, not to merge.
        ours = scratch.replace(head, {FILE: _entry(scratch, base, FILE)})

        renamed = _renamed(scratch, base, ours)
        moved = relocating.relocate(scratch, base, ours, theirs, moves or Moves())
        base, ours = moved.base, moved.ours

        scratch.commit("head", head)
        start = scratch.commit("base", base)
        scratch.commit("yours", ours, start)
        scratch.commit(label, theirs, start)
        # What the template adds to a folder that the user renamed goes there too.
        words = ("-c", "merge.directoryRenames=true", "merge-tree", "--write-tree", "-z")
        printed = scratch.run(*words, "yours", label, allowed=(0, 1))
        tree, conflicts = _parse(printed)
        left_deleted = _keep_deleted(scratch, base, ours, conflicts)
        settled = _settle_neighbours(scratch, conflicts)
        tree = scratch.replace(tree, {**dict.fromkeys(left_deleted), **settled})
        tree = scratch.replace(tree, _tidied(scratch, ours, theirs, tree, conflicts))
        scratch.commit("merged", tree)
        before = imports.missing(_python(scratch, head))
        broken = imports.missing(_python(scratch, tree)) - {
            imports.sentence(moved.path(path), moved.name(name))
            for path, name in map(imports.parts, before)
        }
        yield Merge(
            scratch,
            list(_changes(scratch, head, tree)),
            conflicts,
            left_deleted,
            renamed,
            sorted(broken),
            moved,
        )


def _renamed(scratch: Scratch, base: str, ours: str) -> dict[str, str]:
    words = ("-r", "-z", "--find-renames", "--diff-filter=R", "--name-status")
    printed = scratch.run("diff-tree", *words, base, ours).split(b"\0")[:-1]
    return dict(zip(map(os.fsdecode, printed[1::3]), map(os.fsdecode, printed[2::3]), strict=True))


def _python(scratch: Scratch, tree: str) -> dict[str, bytes]:
    """Return the Python files of a tree."""
    files = {
        path: entry.oid
        for path, entry in scratch.files(tree).items()
        if path.endswith(".py") and is_file(entry)
    }
    contents = scratch.contents(files.values())
    for path, oid in files.items():
        if oid not in contents:
            raise NotReadyError(
                f"{path} has no content in this clone, which leaves contents out:"
                " run the command in a full clone."
            )
    return {path: contents[oid] for path, oid in files.items()}


def _tidied(
    scratch: Scratch, ours: str, theirs: str, tree: str, conflicts: Mapping[str, object]
) -> dict[str, Entry]:
    """Order and format what was merged from both sides, where the user's was in order."""
    mine, new, merged = scratch.files(ours), scratch.files(theirs), scratch.files(tree)
    both = [
        path
        for path, entry in merged.items()
        if path.endswith(".py") and path in mine and path not in conflicts
        if is_file(entry) and entry not in (mine[path], new.get(path))
    ]
    if not both:
        return {}
    settings = filter(tidying.is_settings, [*mine, *merged])
    wanted = [(files, path) for path in [*both, *settings] for files in (mine, merged)]
    contents = scratch.contents(files[path].oid for files, path in wanted if path in files)

    def read(files: Mapping[str, Entry]) -> tidying.Files:
        configured = {
            path: contents[entry.oid]
            for path, entry in files.items()
            if tidying.is_settings(path) and entry.oid in contents
        }
        rewritten = {path: contents[files[path].oid] for path in both}
        return tidying.Files(frozenset(files), configured, rewritten)

    done = tidying.tidied(read(mine), read(merged), {path: path for path in both})
    oids = dict(zip(done, scratch.write(done.values()), strict=True))
    return {path: Entry(merged[path].mode, oid) for path, oid in oids.items()}


def _entry(scratch: Scratch, tree: str, path: str) -> Entry:
    mode, _, rest = scratch.line("ls-tree", tree, "--", path).split(maxsplit=2)
    return Entry(mode, rest.split()[0])


def _parse(printed: bytes) -> tuple[str, dict[str, dict[int, Entry]]]:
    """Read `git merge-tree -z`: the tree, then the stages of conflicts, then messages."""
    tree, *lines = printed.split(b"\0")
    if not tree:
        raise git.GitError("git merge-tree failed: it printed nothing.")
    conflicts: dict[str, dict[int, Entry]] = defaultdict(dict)
    for entry in lines:
        if not entry:
            break
        stage, _, path = entry.partition(b"\t")
        mode, oid, number = stage.decode().split()
        conflicts[os.fsdecode(path)][int(number)] = Entry(mode, oid)
    return tree.decode(), dict(conflicts)


def _keep_deleted(
    scratch: Scratch, base: str, ours: str, conflicts: dict[str, dict[int, Entry]]
) -> list[str]:
    """Settle in the user's favour: a file that they deleted stays deleted."""
    deleted = sorted(
        path
        for path, stages in conflicts.items()
        if stages.keys() == {1, 3} and scratch.has(base, path) and not scratch.has(ours, path)
    )
    for path in deleted:
        del conflicts[path]
    return deleted


def _settle_neighbours(
    scratch: Scratch, conflicts: dict[str, dict[int, Entry]]
) -> dict[str, Entry]:
    """Settle the conflicts that are only edits of neighbouring lines that stand for themselves."""
    settled = {}
    for path, stages in list(conflicts.items()):
        stands_alone: Callable[[bytes], bool]
        has_no_order: Callable[[bytes], bool] = neighbours.is_import
        if path in WIRING:
            stands_alone = bool  # as any line does
        elif path == SETTINGS:
            stands_alone = has_no_order = neighbours.is_setting
        elif path.endswith(".py"):
            stands_alone = neighbours.is_import
        else:
            continue
        if stages.keys() != {1, 2, 3} or not all(map(is_file, stages.values())):
            continue
        base, ours, theirs = (scratch.run("cat-file", "blob", stages[n].oid) for n in (1, 2, 3))
        content = neighbours.merge(base, ours, theirs, stands_alone, has_no_order)
        if content is not None and _parses(path, content):
            oid = scratch.line("hash-object", "-w", "--stdin", stdin=content)
            settled[path] = Entry(stages[2].mode, oid)
            del conflicts[path]
    return settled


def _parses(path: str, content: bytes) -> bool:
    try:
        if path.endswith(".py"):
            ast.parse(content)
        elif path.endswith(".toml"):
            tomllib.loads(content.decode())
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _changes(scratch: Scratch, old: str, new: str) -> Iterator[Change]:
    printed = scratch.run("diff-tree", "-r", "-z", "--no-renames", old, new)
    words = iter(printed.split(b"\0")[:-1])
    for header, path in zip(words, words, strict=True):
        old_mode, new_mode, old_oid, new_oid, status = header.decode().removeprefix(":").split()
        yield Change(
            os.fsdecode(path),
            None if status == "A" else Entry(old_mode, old_oid),
            None if status == "D" else Entry(new_mode, new_oid),
        )
