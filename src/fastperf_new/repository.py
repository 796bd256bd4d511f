"""The repository that a project is in. Git is asked once a command."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fastperf_new import git
from fastperf_new.errors import NotReadyError

OLDEST_GIT = (2, 38)  # the first with `git merge-tree --write-tree` and safe.bareRepository


# The lines of an index by path, each `mode id stage`.
Lines = Mapping[str, list[str]]


@dataclass(frozen=True)
class Entry:
    """A file in a tree: its mode as git writes it, and its content's id."""

    mode: str
    oid: str


def is_file(entry: Entry | None) -> bool:
    """Whether it is a regular file, not a link or another repository."""
    return entry is not None and entry.mode in ("100644", "100755")


def lines_of(entry: Entry | None) -> list[str]:
    """Return what an index has for a path that is merged."""
    return [f"{entry.mode} {entry.oid} 0"] if entry else []


@dataclass(frozen=True)
class Repository:
    """Where a project and its repository lie; every path is absolute and without links.

    Attributes:
        project: the project's folder.
        root: the work tree, which is the project's folder or one above it.
        prefix: the project's folder below the root, as git writes it: empty or with a slash at
            its end.
        git_dir: what git keeps of this work tree.
        objects: where git keeps contents.
        object_format: `sha1` or `sha256`.
    """

    project: Path
    root: Path
    prefix: str
    git_dir: Path
    objects: Path
    object_format: str

    @property
    def folder(self) -> Path:
        """Where an update keeps what it needs to be finished or undone."""
        return self.git_dir / "fastperf"

    @property
    def index(self) -> Path:
        """Git's index of this work tree."""
        return self.git_dir / "index"

    @property
    def null(self) -> str:
        """The id that stands for no object."""
        return "0" * {"sha1": 40, "sha256": 64}[self.object_format]

    def run(self, *arguments: str | Path, stdin: bytes = b"", index: Path | None = None) -> bytes:
        """Run git at the root and return what it prints.

        Args:
            index: another index than the repository's own.

        Raises:
            GitError: when it fails.
        """
        env = {"GIT_INDEX_FILE": str(index)} if index else {}
        # The name of a folder is no pattern.
        return git.run(
            *arguments, cwd=self.root, stdin=stdin, env={**env, "GIT_LITERAL_PATHSPECS": "1"}
        )

    def head(self) -> str:
        """Return the id of the last commit; empty before the first.

        Raises:
            GitError: when git cannot say.
        """
        words = ("status", "--porcelain=v2", "--branch", "--untracked-files=no", "--", ".git")
        for line in self.run(*words).decode(errors="replace").splitlines():
            if line.startswith("# branch.oid "):
                found = line.removeprefix("# branch.oid ")
                return "" if found == "(initial)" else found
        raise git.GitError("git status failed: it did not name the last commit.")

    def committed(self) -> dict[str, Entry]:
        """Return the project's files in the last commit, by path from the root."""
        printed = self.run("ls-tree", "-r", "-z", "--full-tree", "HEAD", "--", self.prefix or ".")
        found = {}
        for line in printed.split(b"\0")[:-1]:
            details, _, path = line.partition(b"\t")
            mode, _, oid = details.decode().split()
            found[os.fsdecode(path)] = Entry(mode, oid)
        return found

    def staged(self, index: Path | None = None) -> dict[str, list[str]]:
        """Return the project's lines in an index, by path from the root."""
        words = ("ls-files", "--stage", "-z", "--", self.prefix or ".")
        found: dict[str, list[str]] = {}
        for line in self.run(*words, index=index).split(b"\0")[:-1]:
            details, _, path = line.partition(b"\t")
            found.setdefault(os.fsdecode(path), []).append(details.decode())
        return found

    def has(self, path: str, entry: Entry | None) -> bool:
        """Return whether a path of the work tree holds what an entry says."""
        target = self.root / path
        if entry is None:
            return not os.path.lexists(target) or (target.is_dir() and not target.is_symlink())
        if target.is_symlink():
            link = os.fsencode(os.readlink(target))
            return entry.mode == "120000" and self.holds(path, entry, link)
        if not target.is_file() or not is_file(entry):
            return False
        return self.holds(path, entry, target.read_bytes())

    def holds(self, path: str, entry: Entry, content: bytes) -> bool:
        """Return whether a content is an entry's, as it stands or as git's filters clean it."""
        kind = hashlib.new(self.object_format, usedforsecurity=False)
        kind.update(b"blob %d\0" % len(content) + content)
        if kind.hexdigest() == entry.oid:
            return True
        if not is_file(entry):
            return False
        cleaned = self.run("hash-object", "--stdin", f"--path={path}", stdin=content)
        return cleaned.decode().strip() == entry.oid


def find(project: Path) -> Repository:
    """Return the repository that a project is in.

    Raises:
        NotReadyError: when there is none, its git is too old, or it keeps its files elsewhere.
        GitError: when git cannot say.
    """
    git.need(*OLDEST_GIT)
    words = ("--show-toplevel", "--git-dir", "--git-common-dir", "--show-object-format")
    try:
        printed = os.fsdecode(
            git.run("rev-parse", "--path-format=absolute", *words, "--show-prefix", cwd=project)
        )
    except git.GitError as error:
        if "not a git repository" in str(error):
            raise NotReadyError(
                "The project is not in a git repository:"
                " run git init, git add -A and git commit first."
            ) from None
        raise
    lines = printed.split("\n")
    if len(lines) != 6:
        raise NotReadyError(f"git does not know where {project} lies: {' '.join(lines)!r}.")
    root, git_dir, common, object_format, prefix = lines[:5]
    found = Repository(
        project=project.resolve(),
        root=Path(root),
        prefix=prefix,
        git_dir=Path(git_dir).resolve(),
        objects=(Path(common) / "objects").resolve(),
        object_format=object_format,
    )
    if found.root / prefix != found.project or not (found.git_dir / "HEAD").is_file():
        raise NotReadyError(
            f"The repository of {project} keeps its files in {found.root / prefix}:"
            " run the command there, if they are your project's."
        )
    return found
