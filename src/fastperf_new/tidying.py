"""Order and format rewritten Python files with ruff, where they were in order before."""

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from fastperf_new.errors import RefusedError

_SETTINGS = frozenset({"pyproject.toml", "ruff.toml", ".ruff.toml"})


def is_settings(path: str) -> bool:
    """Return whether a file may configure ruff."""
    return path.rpartition("/")[2] in _SETTINGS


@dataclass(frozen=True)
class Files:
    """A project as ruff has to see it.

    Attributes:
        paths: all files: which packages there are decides the order of imports.
        settings: the content of each file that may configure ruff.
        rewritten: the content of each file that it is about.
    """

    paths: frozenset[str]
    settings: Mapping[str, bytes]
    rewritten: Mapping[str, bytes]


def tidied(before: Files, after: Files, new_paths: Mapping[str, str]) -> dict[str, bytes]:
    """Return the files of `after`, those in order that were so before.

    Args:
        new_paths: for each rewritten file of `before` the path of it in `after`.
    """
    if not after.rewritten:
        return {}
    with TemporaryDirectory(prefix="fastperf-", ignore_cleanup_errors=True) as folder:
        ordered = _ordered(before, Path(folder) / "before")
        clean = [
            new_paths[path]
            for path, content in before.rewritten.items()
            if ordered.get(path) == content
        ]
        some = {path: after.rewritten[path] for path in clean}
        done = _ordered(Files(after.paths, after.settings, some), Path(folder) / "after")
    return {**after.rewritten, **done}


def _ordered(files: Files, folder: Path) -> dict[str, bytes]:
    """Return the rewritten files as ruff would have them; none when it refuses its settings."""
    if not files.rewritten:
        return {}
    for path in files.paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        if path.endswith((".py", ".pyi")):
            (folder / path).touch()
    for path, content in {**files.settings, **files.rewritten}.items():
        (folder / path).write_bytes(content)
    names = sorted(files.rewritten)
    for words in (("check", "--select=I", "--fixable=I", "--fix"), ("format",)):
        if _ruff(folder, *words, "--quiet", "--no-cache", "--", *names) > 1:
            return {}
    return {path: (folder / path).read_bytes() for path in names}


def _ruff(folder: Path, *words: str) -> int:
    """Run ruff with the settings that it finds in the folder; return its exit code.

    Raises:
        RefusedError: when it cannot be started.
    """
    from ruff.__main__ import find_ruff_bin  # noqa: PLC0415  (like uv: only when it is needed)

    environment = {k: v for k, v in os.environ.items() if not k.startswith("RUFF_")}
    try:
        done = subprocess.run(
            [find_ruff_bin(), *words],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            process_group=0,
        )
    except OSError as error:
        raise RefusedError(f"ruff cannot be started ({error}).") from None
    return done.returncode
