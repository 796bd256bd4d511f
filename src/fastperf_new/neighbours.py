"""Edits on neighbouring lines, which git calls a conflict and which are none.

A user who adds a router below the line that the template takes away, or an import beside
one that it adds, has changed other lines than the template did, and both can be had. Only
where lines stand for themselves: inside a block of logic, neighbours belong together.
"""

import ast
import re
from collections.abc import Callable, Iterator
from difflib import SequenceMatcher
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

from fastperf_new import git

_SIZE = 32  # longer markers than any text has
_CONFLICT = re.compile(
    rb"<{%d} ours\n(.*?)\|{%d} base\n(.*?)={%d}\n(.*?)>{%d} theirs\n" % ((_SIZE,) * 4), re.DOTALL
)

_IMPORT = re.compile(rb"((from [\w.]+ )?import [^()\\;\n]+)?\n")


def is_import(line: bytes) -> bool:
    """Whether a line of Python is an import of its own, or empty."""
    return bool(_IMPORT.fullmatch(line))


def is_field(line: bytes) -> bool:
    """Whether a line of Python is a field of a class, with its value, or a comment beside one."""
    try:
        body = ast.parse(line.strip()).body
    except (SyntaxError, ValueError):
        return False
    indented = line.startswith(b"    ") and not line[4:5].isspace()
    return indented and all(isinstance(node, ast.AnnAssign) for node in body)


def is_setting(line: bytes) -> bool:
    """Whether a line of a file of settings stands for itself."""
    return is_import(line) or is_field(line)


def merge(
    base: bytes,
    ours: bytes,
    theirs: bytes,
    stands_alone: Callable[[bytes], bool],
    has_no_order: Callable[[bytes], bool] = is_import,
) -> bytes | None:
    """Merge three versions of a text; None when they are in conflict for good.

    Args:
        stands_alone: whether a line means the same whatever stands beside it; conflicts
            with any other line stay.
        has_no_order: whether two such lines, both added at one place, may stand in either order.
    """
    if b"\0" in base + ours + theirs or not all(t.endswith(b"\n") for t in (base, ours, theirs)):
        return None
    with TemporaryDirectory(prefix="fastperf-", ignore_cleanup_errors=True) as folder:
        for name, content in (("ours", ours), ("base", base), ("theirs", theirs)):
            (Path(folder) / name).write_bytes(content)
        merged = git.run(
            *("merge-file", "-p", "--diff3", f"--marker-size={_SIZE}"),
            *("-L", "ours", "-L", "base", "-L", "theirs", "ours", "base", "theirs"),
            cwd=Path(folder),
            env=git.OURS,
            allowed=tuple(range(128)),  # the number of conflicts
        )
    conflicts = merged.count(b"<" * _SIZE + b" ours")
    settled = [
        _settle(found[1], found[2], found[3], stands_alone, has_no_order)
        for found in _CONFLICT.finditer(merged)
    ]
    # An empty output is a failure of git's, never the merge of texts.
    if not merged or None in settled or len(settled) < conflicts:
        return None
    parts = iter(settled)
    return _CONFLICT.sub(lambda _: next(parts) or b"", merged)


def _settle(
    ours: bytes,
    base: bytes,
    theirs: bytes,
    stands_alone: Callable[[bytes], bool],
    has_no_order: Callable[[bytes], bool],
) -> bytes | None:
    """Settle one conflict, or return None."""
    if not all(map(stands_alone, (ours + base + theirs).splitlines(keepends=True))):
        return None
    old = base.splitlines(keepends=True)
    if len(set(old)) < len(old):
        return None  # which line became which is a guess
    edits = sorted([*_edits(old, theirs), *_edits(old, ours)], key=lambda edit: edit[:2])
    for (start, end, lines), (next_start, next_end, next_lines) in pairwise(edits):
        if next_start < end:
            return None
        if (start, end) == (next_start, next_end) and (
            start < end
            or set(lines) & set(next_lines)
            or not all(map(has_no_order, lines + next_lines))
        ):
            return None
    merged: list[bytes] = []
    done = 0
    for start, end, new in edits:
        merged += old[done:start] + new
        done = end
    return b"".join(merged + old[done:])


def _edits(old: list[bytes], text: bytes) -> Iterator[tuple[int, int, list[bytes]]]:
    """Give the lines of `old` that a text replaces, from and up to, and by what."""
    new = text.splitlines(keepends=True)
    matcher = SequenceMatcher(None, old, new, autojunk=False)
    for kind, start, end, new_start, new_end in matcher.get_opcodes():
        if kind != "equal":
            yield start, end, new[new_start:new_end]
