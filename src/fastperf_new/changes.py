"""What a release moved and renamed: `changes.yml`, and the lists of several releases as one.

A name is dotted (`app.caching.redis`), a path has slashes. Both are looked up by their longest
listed beginning, so that a package takes all that is in it along.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from fastperf_new.answers import load_yaml

FILE = "changes.yml"

# What the file is after a release: nothing is listed for the next one yet.
EMPTY = """\
# What moves and gets another name in the next release: `fastperf update` applies it to a project
# before it merges. CONTRIBUTING.md explains each part.
modules: {}
names: {}
paths: {}
removed: []
notes: []
"""

_DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_PATH = re.compile(r"[\w.-]+(/[\w.-]+)*")


class ChangesError(ValueError):
    """`changes.yml` is not what it should be."""


@dataclass(frozen=True)
class Note:
    """What is left to do by hand.

    Attributes:
        switch: the derived switch of copier.yml that is on in the projects concerned; empty for
            all projects.
    """

    text: str
    switch: str = ""


@dataclass(frozen=True)
class Changes:
    """The list of one release, as it is written.

    Attributes:
        removed: files and folders that the template no longer has, and nothing in their place.
    """

    modules: Mapping[str, str] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    paths: Mapping[str, str] = field(default_factory=dict)
    removed: tuple[str, ...] = ()
    notes: tuple[Note, ...] = ()


def read(text: str) -> Changes:
    """Read a `changes.yml`.

    Raises:
        ChangesError: when it is damaged, or a line of it cannot be meant.
    """
    try:
        content = load_yaml(text)
    except yaml.YAMLError as error:
        raise ChangesError(f"{FILE} is damaged: {' '.join(str(error).split())}") from None
    if unknown := content.keys() - {"modules", "names", "paths", "removed", "notes"}:
        raise ChangesError(f"{FILE} has no part {sorted(unknown)[0]!r}.")
    return Changes(
        _mapping(content, "modules", _DOTTED),
        _mapping(content, "names", _DOTTED, dots=1),
        _mapping(content, "paths", _PATH),
        tuple(_removed(content.get("removed") or [])),
        tuple(_notes(content.get("notes") or [])),
    )


def _mapping(
    content: Mapping[str, Any], part: str, form: re.Pattern[str], dots: int = 0
) -> dict[str, str]:
    found = content.get(part) or {}
    if not isinstance(found, dict):
        raise ChangesError(f"{part} of {FILE} must be lines of `old: new`.")
    for word in [*found, *found.values()]:
        fits = isinstance(word, str) and form.fullmatch(word) and word.count(".") >= dots
        if not fits or ".." in word:
            raise ChangesError(f"{part} of {FILE} cannot have {word!r}.")
    if twice := [word for word, times in Counter(found.values()).items() if times > 1]:
        raise ChangesError(f"{part} of {FILE} has two lines that end in {twice[0]}.")
    return dict(found)


def _removed(found: object) -> list[str]:
    if not isinstance(found, list):
        raise ChangesError(f"removed of {FILE} must be a list.")
    for path in found:
        if not isinstance(path, str) or not _PATH.fullmatch(path) or ".." in path:
            raise ChangesError(f"removed of {FILE} cannot have {path!r}.")
    return found


def _notes(found: object) -> Iterator[Note]:
    if not isinstance(found, list):
        raise ChangesError(f"notes of {FILE} must be a list.")
    for note in found:
        texts = isinstance(note, dict) and all(isinstance(value, str) for value in note.values())
        if not texts or not {"text"} <= note.keys() <= {"text", "for"} or not note["text"].strip():
            raise ChangesError(f"A note of {FILE} has a `text`, and may have a `for`: {note!r}.")
        yield Note(" ".join(note["text"].split()), note.get("for", ""))


# --- before a release ------------------------------------------------------------------------


def complaints(
    listed: Changes, old: Mapping[str, str], new: Mapping[str, str], switches: Iterable[str]
) -> Iterator[str]:
    """Give what a list has wrong, as sentences.

    Args:
        old: the texts of the release before by path.
        new: the texts of the template by path.
        switches: the derived switches of copier.yml.
    """
    known = set(switches)
    for part, entries in (("modules", listed.modules), ("paths", listed.paths)):
        for was, now in entries.items():
            source, target = (
                (word.replace(".", "/") for word in (was, now)) if part == "modules" else (was, now)
            )
            if not _is_there(source, old):
                yield f"{part}: the release before has no {was}."
            if not _is_there(target, new):
                yield f"{part}: the template has no {now}."
    for was, now in listed.names.items():
        if not _defines(was, old):
            yield f"names: the release before has no {was}."
        if not _defines(now, new):
            yield f"names: the template has no {now}."
    for path in listed.removed:
        if not _is_there(path, old):
            yield f"removed: the release before has no {path}."
        if _is_there(path, new):
            yield f"removed: the template still has {path}."
    yield from (
        f"notes: copier.yml derives no switch {note.switch}."
        for note in listed.notes
        if note.switch and note.switch not in known
    )
    yield from _unlisted(listed, set(old), set(new))


def _unlisted(listed: Changes, old: set[str], new: set[str]) -> Iterator[str]:
    """Give each file of the release before whose whereabouts the list does not tell."""
    moves, removed = moves_of(listed), dict.fromkeys(listed.removed, "")
    for path in sorted(old - new):
        now = moves.path(path)
        package = f"{now.removesuffix('.py')}/__init__.py"
        module = f"{now.removesuffix('/__init__.py')}.py"
        if _key(removed, path, "/") or {now, package, module} & new - {path}:
            continue
        if now == path:
            yield f"{path} left the template: list where it is now, or that it is removed."
        else:
            yield f"{path} becomes {now}, which the template has not: list where it is now."


def _is_there(path: str, files: Iterable[str]) -> bool:
    """Return whether a path is a file, a folder or a module."""
    return any(file in (path, f"{path}.py") or file.startswith(f"{path}/") for file in files)


def _defines(dotted: str, files: Mapping[str, str]) -> bool:
    """Return whether a module has a name; a text with Jinja in it cannot be parsed."""
    module, _, name = dotted.rpartition(".")
    path = module.replace(".", "/")
    texts = [files.get(f"{path}.py", ""), files.get(f"{path}/__init__.py", "")]
    return any(re.search(rf"\b{name}\b", text) for text in texts)


# --- what a list comes down to ---------------------------------------------------------------


@dataclass(frozen=True)
class Moves:
    """Where names and paths went, as two lists by beginning.

    Attributes:
        dotted: modules and names.
        names: those of `dotted` that are names in a module.
        paths: files and folders.
    """

    dotted: Mapping[str, str] = field(default_factory=dict)
    names: frozenset[str] = frozenset()
    paths: Mapping[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.dotted or self.paths)

    def key(self, dotted: str) -> str:
        """Return the listed beginning of a dotted name; empty when there is none."""
        return _key(self.dotted, dotted, ".")

    def name(self, dotted: str) -> str:
        """Return what a dotted name became."""
        return _image(self.dotted, dotted, ".")

    def path(self, path: str) -> str:
        """Return where a path went."""
        return _image(self.paths, path, "/")

    def then(self, later: "Moves") -> "Moves":
        """Return these moves, and after them those of a later release, as one."""
        names = self.names | {
            origin for name in later.names for origin in _origins(self.dotted, name, ".")
        }
        return Moves(
            _then(self.dotted, later.dotted, "."), names, _then(self.paths, later.paths, "/")
        )


def moves_of(changes: Changes) -> Moves:
    """Return what a list says about every kind of reference: a module is a file or folder too."""
    paths: dict[str, str] = {}
    dotted: dict[str, str] = {}
    for old, new in changes.modules.items():
        source, target = old.replace(".", "/"), new.replace(".", "/")
        paths |= {source: target, f"{source}.py": f"{target}.py", f"{source}.pyi": f"{target}.pyi"}
    for old, new in changes.paths.items():
        paths[old] = new
        source, target = (path.removesuffix(".py").replace("/", ".") for path in (old, new))
        if _DOTTED.fullmatch(source) and _DOTTED.fullmatch(target):
            dotted[source] = target
    return Moves({**dotted, **changes.modules, **changes.names}, frozenset(changes.names), paths)


def composed(lists: Iterable[Changes]) -> Moves:
    """Return the moves of several releases, given in their order, as one."""
    moves = Moves()
    for changes in lists:
        moves = moves.then(moves_of(changes))
    return moves


def _key(table: Mapping[str, str], whole: str, separator: str) -> str:
    beginning = whole
    while beginning and beginning not in table:
        beginning = beginning.rpartition(separator)[0]
    return beginning


def _image(table: Mapping[str, str], whole: str, separator: str) -> str:
    key = _key(table, whole, separator)
    return table[key] + whole[len(key) :] if key else whole


def _then(first: Mapping[str, str], second: Mapping[str, str], separator: str) -> dict[str, str]:
    both = {old: _image(second, new, separator) for old, new in first.items()}
    for key, new in second.items():
        for origin in _origins(first, key, separator):
            both.setdefault(origin, new)
    return both


def _origins(first: Mapping[str, str], key: str, separator: str) -> Iterator[str]:
    """Give what `first` makes into `key`."""
    candidates = [key] + [
        old + key[len(new) :]
        for old, new in first.items()
        if key == new or key.startswith(new + separator)
    ]
    return (one for one in candidates if _image(first, one, separator) == key)
