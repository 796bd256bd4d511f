"""References to moved modules and files in texts: manifests, Markdown, comments, docstrings."""

import posixpath
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from fastperf_new.changes import Moves

# What may be a dotted name or a path, with what belongs to neither at its end.
_TOKEN = re.compile(r"[\w./-]*\w")
_DOTTED = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+")
_IMPORT = re.compile(
    r"\bfrom[ \t]+(?P<module>[A-Za-z_][\w.]*)[ \t]+import[ \t]+(?P<names>\w+(?:[ \t]*,[ \t]*\w+)*)"
)


@dataclass(frozen=True)
class Edit:
    """A replacement of a part of a text."""

    start: int
    end: int
    new: str


@dataclass
class Found:
    """What is to change in a text, and what only looks like it.

    Attributes:
        unsure: parts of the text that may mean something that moved.
    """

    edits: list[Edit] = field(default_factory=list)
    unsure: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Place:
    """Where a text stands, before and after.

    Attributes:
        exists: whether a module, or a name in one, is there before: `app.caching.redis`.
        has: whether a file or folder is there before.
    """

    old: str
    new: str
    moves: Moves
    exists: Callable[[str], bool]
    has: Callable[[str], bool]

    def sure(self, dotted: str) -> bool:
        """Return whether a dotted name that begins with a moved one means something in it."""
        key = self.moves.key(dotted)
        rest = dotted[len(key) + 1 :].partition(".")[0]
        return key in self.moves.names or not rest or self.exists(f"{key}.{rest}")


def applied(text: str, edits: list[Edit]) -> str:
    """Return a text with parts of it replaced."""
    parts, done = [], 0
    for edit in sorted(edits, key=lambda edit: (edit.start, edit.end)):
        parts += [text[done : edit.start], edit.new]
        done = edit.end
    return "".join([*parts, text[done:]])


def find(text: str, place: Place, start: int = 0, end: int | None = None) -> Found:
    """Find what refers to something that moved in a part of a text."""
    end = len(text) if end is None else end
    found = Found()
    for start_, end_, new in _imports(text, place, start, end):
        if new is None:
            found.unsure.append(text[start_:end_])
        else:
            found.edits.append(Edit(start_, end_, new))
    done = {(edit.start, edit.end) for edit in found.edits}
    for match in _TOKEN.finditer(text, start, end):
        token = match[0]
        if match.span() in done:
            continue
        new = _moved(token, place, text[match.start() - 1 : match.start()])
        if new is None:
            found.unsure.append(token)
        elif new != token:
            found.edits.append(Edit(match.start(), match.end(), new))
    return found


def _imports(
    text: str, place: Place, start: int, end: int
) -> Iterator[tuple[int, int, str | None]]:
    """Give the module of each `from a import b` whose module alone does not tell where it went."""
    for match in _IMPORT.finditer(text, start, end):
        module, names = match["module"], re.split(r"[ \t]*,[ \t]*", match["names"])
        wanted = {place.moves.name(f"{module}.{name}").rpartition(".")[0] for name in names}
        same = all(place.moves.name(f"{module}.{n}").rpartition(".")[2] == n for n in names)
        if wanted == {place.moves.name(module)} and same:
            continue  # a dotted name like others
        if len(wanted) == 1 and same:
            yield *match.span("module"), wanted.pop()
        else:
            yield *match.span(), None


def _moved(token: str, place: Place, before: str) -> str | None:
    """Return what a token becomes; None when that is not sure."""
    moves = place.moves
    if token in moves.paths and "." in token:  # a file at the top
        return moves.path(token)
    if "/" in token:
        return _moved_path(token, place)
    if before != "@" and _DOTTED.fullmatch(token) and moves.key(token):
        return moves.name(token) if place.sure(token) else None
    return token


def _moved_path(token: str, place: Place) -> str | None:
    moves = place.moves
    if token.startswith("../"):
        return _moved_relative(token, place)
    lead = "./" if token.startswith("./") else ""
    path = token[len(lead) :]
    if (new := moves.path(path)) != path:
        return lead + new
    inner = path
    while "/" in inner:  # `/srv/app/caching`, `https://example.com/app/caching`
        inner = inner.partition("/")[2]
        if moves.path(inner) != inner and place.has(inner):
            return None
    return token


def _moved_relative(token: str, place: Place) -> str:
    """Return a path that starts at the text's own folder as it must be afterwards."""
    target = posixpath.normpath(posixpath.join(posixpath.dirname(place.old), token))
    if target.startswith("../") or not place.has(target):
        return token
    new = place.moves.path(target)
    if new == target and place.new == place.old:
        return token
    return posixpath.relpath(new, posixpath.dirname(place.new) or ".")
