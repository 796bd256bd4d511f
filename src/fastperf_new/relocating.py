"""Applying a release's moves to the trees of a merge, so that git has no rename to guess.

Files move, then every reference to them is rewritten: in Python by its syntax, in other texts
by words. What only looks like a reference is left as it is, and listed.
"""

import ast
import posixpath
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import PurePosixPath

from fastperf_new import imports, mentions, references, tidying
from fastperf_new.answers import FILE
from fastperf_new.changes import Moves
from fastperf_new.errors import NotReadyError
from fastperf_new.mentions import Found, Place
from fastperf_new.repository import Entry, is_file
from fastperf_new.scratch import Scratch

_PYTHON = (".py", ".pyi")
_LARGEST = 1_000_000  # bytes of a text; what is larger is data
_TEXTS_OF_THE_PAST = ("CHANGELOG", "CHANGES", "HISTORY")

_Tree = Mapping[str, Entry]


@dataclass(frozen=True)
class Relocated:
    """The trees of a merge after the moves.

    Attributes:
        moved: old and new path of each file of the user's commit that moved.
        rewritten: new paths of the user's own files, and of those that they edited, in which
            references were rewritten.
        unsure: what looks like a reference in the user's own lines, as new path and text.
        unreadable: new paths of the user's Python files that do not parse.
    """

    base: str
    ours: str
    moved: dict[str, str] = field(default_factory=dict)
    rewritten: list[str] = field(default_factory=list)
    unsure: list[tuple[str, str]] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    path: Callable[[str], str] = str
    name: Callable[[str], str] = str


def relocate(scratch: Scratch, base: str, ours: str, theirs: str, listed: Moves) -> Relocated:
    """Apply what releases moved to the old render and to the user's commit.

    Args:
        base: the tree of the old render.
        ours: the tree of the user's commit.
        theirs: the tree of the new render.
        listed: the moves.

    Raises:
        NotReadyError: when a file of the user's is where another one moves to.
    """
    if not listed:
        return Relocated(base, ours)
    work = _Work(scratch, scratch.files(base), scratch.files(ours), scratch.files(theirs), listed)
    if not work.moves:
        return Relocated(base, ours)
    new_base, _ = work.applied(work.base, shared={})
    shared = {path: entry for path, entry in work.base.items() if work.ours.get(path) == entry}
    new_ours, rewritten = work.applied(work.ours, shared=shared)
    return Relocated(
        scratch.tree(new_base),
        scratch.tree(new_ours),
        {path: new for path in work.ours if (new := work.path(path)) != path},
        sorted(rewritten),
        work.unsure(),
        sorted(work.path(path) for path, entry in work.unreadable if work.ours.get(path) == entry),
        work.path,
        work.moves.name,
    )


class _Work:
    """The trees, and what is known of their modules."""

    def __init__(
        self, scratch: Scratch, base: _Tree, ours: _Tree, theirs: _Tree, listed: Moves
    ) -> None:
        self.scratch, self.base, self.ours, self.theirs = scratch, base, ours, theirs
        self.moves = _active(listed, base)
        self._folders = {
            folder.as_posix() for path in [*base, *ours] for folder in PurePosixPath(path).parents
        }
        self._modules: dict[str, list[Entry]] = {}
        for path, entry in [*base.items(), *ours.items()]:
            if path.endswith(".py"):
                self._modules.setdefault(references.module_of(path)[0], []).append(entry)
        self._contents = self._read()
        self._names = cache(self._names_of)
        self._done: dict[tuple[str, Entry], Entry] = {}
        self._found: dict[tuple[str, Entry], Found] = {}
        self.unreadable: set[tuple[str, Entry]] = set()

    def _read(self) -> dict[str, bytes]:
        """Return the contents of all texts."""
        wanted = {
            entry.oid: path
            for path, entry in [*self.base.items(), *self.ours.items()]
            if is_file(entry) and _is_text(path)
        }
        sizes = self.scratch.sizes(wanted)
        for oid, path in wanted.items():
            if path.endswith(_PYTHON) and sizes[oid] is None:
                raise NotReadyError(
                    f"{path} has no content in this clone, which leaves contents out:"
                    " run the command in a full clone."
                )
        return self.scratch.contents(
            oid for oid, size in sizes.items() if size is not None and size <= _LARGEST
        )

    # --- what is there ---

    def path(self, path: str) -> str:
        """Return where a file goes; a module may become a package, and a package a module."""
        new = self.moves.path(path)
        if new == path or new in self.theirs or not new.endswith(".py"):
            return new
        module, within = new.removesuffix(".py"), posixpath.dirname(new)
        if f"{module}/__init__.py" in self.theirs and self.moves.paths.get(path) == new:
            return f"{module}/__init__.py"
        if new.endswith("/__init__.py") and f"{within}.py" in self.theirs:
            return f"{within}.py"
        return new

    def _has(self, path: str) -> bool:
        path = posixpath.normpath(path)
        return path in self.base or path in self.ours or path in self._folders

    def _exists(self, dotted: str) -> bool:
        if dotted in self._modules or dotted.replace(".", "/") in self._folders:
            return True
        module, _, name = dotted.rpartition(".")
        names: frozenset[str] = self._names(module)
        return name in names or "*" in names or "__getattr__" in names

    def _names_of(self, module: str) -> frozenset[str]:
        found: set[str] = set()
        for entry in self._modules.get(module, []):
            try:
                found |= set(imports.names(ast.parse(self._contents[entry.oid]).body))
            except (SyntaxError, ValueError, RecursionError, MemoryError, KeyError):
                continue
        return frozenset(found)

    # --- a tree ---

    def applied(self, tree: _Tree, shared: _Tree) -> tuple[dict[str, Entry], set[str]]:
        """Return a tree after the moves, and the new paths of what was rewritten.

        Args:
            shared: the files that were rewritten in another tree already.
        """
        places: dict[str, str] = {}
        for path in sorted(tree, key=lambda path: (self.path(path) != path, path)):
            new = self.path(path)
            if new in places:
                raise NotReadyError(
                    f"{new} is where {path if new != path else places[new]} goes with this"
                    " release: move yours elsewhere first, with its imports, and commit."
                )
            places[new] = path
        _refuse_files_as_folders(places)
        texts: dict[str, bytes] = {}
        for path, entry in tree.items():
            if path not in shared and (text := self._rewritten(path, entry)) is not None:
                texts[path] = text
        contents = self._tidied(tree, texts)
        oids = dict(zip(contents, self.scratch.write(contents.values()), strict=True))
        for path, oid in oids.items():
            self._done[path, tree[path]] = Entry(tree[path].mode, oid)
        new_tree = {
            new: self._done.get((path, tree[path]), tree[path]) for new, path in places.items()
        }
        return new_tree, {self.path(path) for path in oids}

    def _rewritten(self, path: str, entry: Entry) -> bytes | None:
        """Return the text of a file with its references rewritten; None when it stays."""
        content = self._contents.get(entry.oid)
        if content is None or not is_file(entry) or not _is_text(path) or b"\0" in content:
            return None
        is_python = path.endswith(_PYTHON)
        try:
            text = content.decode()
        except UnicodeError:
            if is_python and references.may_refer(content.decode("latin-1"), self._place(path)):
                self.unreadable.add((path, entry))
            return None
        mark = "\ufeff" if text.startswith("\ufeff") else ""
        text = text.removeprefix("\ufeff")
        place = self._place(path)
        if not references.may_refer(text, place):
            return None
        try:
            found = (references if is_python else mentions).find(text, place)
        except references.UnreadableError:
            self.unreadable.add((path, entry))
            return None
        self._found[path, entry] = found
        if not found.edits:
            return None
        return (mark + mentions.applied(text, found.edits)).encode()

    def _place(self, path: str) -> Place:
        return Place(path, self.path(path), self.moves, self._exists, self._has)

    def _tidied(self, tree: _Tree, texts: Mapping[str, bytes]) -> dict[str, bytes]:
        """Return rewritten files, the Python of them in order where it was before."""
        python = {path for path in texts if path.endswith(_PYTHON)}
        settings = {
            path: self._contents[entry.oid]
            for path, entry in tree.items()
            if tidying.is_settings(path) and entry.oid in self._contents
        }
        new_paths = {path: self.path(path) for path in python}
        before = tidying.Files(
            frozenset(tree), settings, {path: self._contents[tree[path].oid] for path in python}
        )
        after = tidying.Files(
            frozenset(map(self.path, tree)),
            {self.path(path): texts.get(path, content) for path, content in settings.items()},
            {new_paths[path]: texts[path] for path in python},
        )
        done = tidying.tidied(before, after, new_paths)
        return {path: done.get(self.path(path), text) for path, text in texts.items()}

    def unsure(self) -> list[tuple[str, str]]:
        """Return what looks like a reference in the user's commit and not in the old render."""
        of_base = self._unsure_in(self.base)
        return sorted(self._unsure_in(self.ours) - of_base)

    def _unsure_in(self, tree: _Tree) -> set[tuple[str, str]]:
        return {
            (self.path(path), text)
            for (path, entry), found in self._found.items()
            if tree.get(path) == entry
            for text in found.unsure
        }


def _is_text(path: str) -> bool:
    name = posixpath.basename(path)
    return path != FILE and not name.endswith(".lock") and not name.startswith(_TEXTS_OF_THE_PAST)


def _active(listed: Moves, base: _Tree) -> Moves:
    """Return the moves of what the project was made with: other things there are the user's own."""
    there = set(base) | {f.as_posix() for path in base for f in PurePosixPath(path).parents}

    def is_there(dotted: str) -> bool:
        module = dotted.rpartition(".")[0] if dotted in listed.names else dotted
        path = module.replace(".", "/")
        return bool({path, f"{path}.py", f"{path}.pyi", f"{path}/__init__.py"} & there)

    dotted = {old: new for old, new in listed.dotted.items() if is_there(old)}
    modules = {old.replace(".", "/") for old in dotted if old not in listed.names}
    paths = {
        old: new
        for old, new in listed.paths.items()
        if old in there or old.removesuffix(".pyi").removesuffix(".py") in modules
    }
    return Moves(dotted, listed.names & dotted.keys(), paths)


def _refuse_files_as_folders(paths: Iterable[str]) -> None:
    places = set(paths)
    for path in sorted(places):
        for folder in PurePosixPath(path).parents:
            if folder.as_posix() in places:
                raise NotReadyError(
                    f"{folder} is in the way of {path}, which comes there with this release:"
                    " move it first, and commit."
                )
