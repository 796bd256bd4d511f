"""The checklist in docs/performance.md names tests that exist."""

import ast
import re
from pathlib import Path

PROJECT = Path(__file__).parent.parent


def names_in(path: Path) -> set[str]:
    """Return the functions and methods in a file as pytest names tests."""
    found = set()
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.ClassDef):
            found |= {
                f"{node.name}::{method.name}"
                for method in node.body
                if isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef)
            }
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(node.name)
    return found


def test_every_line_names_a_test_that_exists() -> None:
    text = (PROJECT / "docs" / "performance.md").read_text("utf-8")
    lines = [line for line in text.splitlines() if line.startswith("| ")][1:]

    assert lines
    for line in lines:
        named = re.search(r"`(tests/[^`:]+)::([^`]+)`", line)
        assert named, f"no test in: {line}"
        assert not re.search(r"@\w+@|TODO|TBD", line), f"no figure yet in: {line}"
        path, test = named.groups()
        assert test in names_in(PROJECT / path), f"{path} has no {test}"
