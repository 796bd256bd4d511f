"""A bare repository for one merge. It borrows the user's objects and leaves theirs untouched."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from fastperf_new import git
from fastperf_new.repository import Entry, Repository


class Scratch:
    """A bare repository of our own, which nothing of the user's configuration reaches."""

    def __init__(self, folder: Path, repo: Repository) -> None:
        self.folder = folder
        self.run("init", "--bare", "-q", "--template=", f"--object-format={repo.object_format}")
        alternates = folder / "objects" / "info" / "alternates"
        alternates.parent.mkdir(exist_ok=True)
        alternates.write_bytes(os.fsencode(repo.objects) + b"\n")

    def run(
        self,
        *arguments: str,
        stdin: bytes = b"",
        work: Path | None = None,
        index: str = "index",
        allowed: tuple[int, ...] = (0,),
    ) -> bytes:
        """Run git in the repository, with `work` as its work tree."""
        home = {"HOME": str(self.folder), "XDG_CONFIG_HOME": str(self.folder)}
        place = ["--git-dir", str(self.folder)]
        place += ["--work-tree", str(work)] if work else []
        return git.run(
            *place,
            *arguments,
            cwd=work or self.folder,
            stdin=stdin,
            env={**git.OURS, **home, "GIT_INDEX_FILE": str(self.folder / index)},
            allowed=allowed,
        )

    def line(self, *arguments: str, stdin: bytes = b"", index: str = "index") -> str:
        """Run git and return the one line that it prints, never an empty one."""
        printed = self.run(*arguments, stdin=stdin, index=index).decode().strip()
        if not printed:
            raise git.GitError(f"git {arguments[0]} printed nothing.")
        return printed

    def has(self, tree: str, path: str) -> bool:
        """Whether a file or folder stands at a path of a tree."""
        return bool(self.run("ls-tree", "-z", tree, "--", path))

    def tree_of(self, folder: Path) -> str:
        """Write a folder as a tree, ignored files included."""
        self.run("add", "--all", "--force", ".", work=folder, index=f"{folder.name}.index")
        return self.line("write-tree", index=f"{folder.name}.index")

    def commit(self, name: str, tree: str, *parents: str) -> str:
        """Commit a tree on a branch of its own."""
        options = [word for parent in parents for word in ("-p", parent)]
        commit = self.line("commit-tree", tree, *options, "-m", "-")
        self.run("branch", name, commit)
        return commit

    def replace(self, tree: str, entries: Mapping[str, Entry | None]) -> str:
        """Return a tree with some files replaced, or with None removed."""
        if not entries:
            return tree
        self.run("read-tree", tree, index="replaced.index")
        null = "0" * len(tree)
        lines = [
            f"{entry.mode} {entry.oid} 0\t{path}" if entry else f"0 {null}\t{path}"
            for path, entry in entries.items()
        ]
        stdin = b"".join(os.fsencode(line) + b"\0" for line in lines)
        self.run("update-index", "-z", "--index-info", stdin=stdin, index="replaced.index")
        return self.line("write-tree", index="replaced.index")

    def files(self, tree: str) -> dict[str, Entry]:
        """Return the files of a tree by path.

        Raises:
            GitError: when a path leads out of it, which git itself never commits.
        """
        found = {}
        for line in self.run("ls-tree", "-r", "-z", tree).split(b"\0")[:-1]:
            details, _, name = line.partition(b"\t")
            mode, _, oid = details.decode().split()
            path = os.fsdecode(name)
            if ".." in path.split("/"):
                raise git.GitError(f"git has a file in a commit that leads out of it: {path}.")
            found[path] = Entry(mode, oid)
        return found

    def tree(self, files: Mapping[str, Entry]) -> str:
        """Write a tree of files."""
        self.run("read-tree", "--empty", index="tree.index")
        lines = [f"{entry.mode} {entry.oid} 0\t{path}" for path, entry in files.items()]
        stdin = b"".join(os.fsencode(line) + b"\0" for line in lines)
        self.run("update-index", "-z", "--index-info", stdin=stdin, index="tree.index")
        return self.line("write-tree", index="tree.index")

    def sizes(self, oids: Iterable[str]) -> dict[str, int | None]:
        """Return the size in bytes of each content; None for one that this clone has not."""
        wanted = list(oids)
        stdin = "".join(f"{oid}\n" for oid in wanted).encode()
        lines = self.run("cat-file", "--batch-check=%(objectsize)", stdin=stdin).splitlines()
        return {
            oid: int(line) if line.isdigit() else None
            for oid, line in zip(wanted, lines, strict=True)
        }

    def contents(self, oids: Iterable[str]) -> dict[str, bytes]:
        """Return contents by id; those that this clone has not are left out."""
        wanted = list(oids)
        stdin = "".join(f"{oid}\n" for oid in wanted).encode()
        printed = self.run("cat-file", "--batch=%(objectsize)", stdin=stdin)
        found, at = {}, 0
        for oid in wanted:
            end = printed.index(b"\n", at)
            size, at = printed[at:end], end + 1
            if size.isdigit():
                found[oid] = printed[at : at + int(size)]
                at += int(size) + 1
        return found

    def write(self, contents: Iterable[bytes]) -> list[str]:
        """Write contents and return their ids."""
        with TemporaryDirectory(prefix="fastperf-", ignore_cleanup_errors=True) as folder:
            paths = []
            for number, content in enumerate(contents):
                paths.append(Path(folder) / str(number))
                paths[-1].write_bytes(content)
            stdin = "".join(f"{path}\n" for path in paths).encode()
            return (
                self.run("hash-object", "-w", "--no-filters", "--stdin-paths", stdin=stdin)
                .decode()
                .split()
            )
