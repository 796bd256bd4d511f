"""Installing a project's dependencies with uv."""

import os
import shlex
import shutil
import subprocess
from pathlib import Path


class InstallError(Exception):
    """uv could not do it; the message is one line."""


def find_uv() -> str:
    """Return the uv on the user's PATH, or the one installed with this package."""
    from uv import find_uv_bin  # noqa: PLC0415

    return shutil.which("uv") or find_uv_bin()


def runner() -> str:
    """Return what to type before a program of a project."""
    return "uv run " if shutil.which("uv") else ".venv/bin/"


def sync_command() -> str:
    """Return what to type to lock and install a project's dependencies."""
    return "uv sync" if shutil.which("uv") else shlex.join([find_uv(), "sync"])


def sync(folder: Path) -> None:
    """Run `uv sync` in a project.

    Raises:
        InstallError: when it fails, for want of a network say.
    """
    environment = {key: value for key, value in os.environ.items() if key != "VIRTUAL_ENV"}
    try:
        done = subprocess.run(
            [find_uv(), "sync", "--quiet", "--no-progress"],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            env={**environment, "NO_COLOR": "1"},
        )
    except OSError as error:
        raise InstallError(f"uv cannot be started ({error}).") from None
    if done.returncode:
        reason = next(
            (line for line in done.stderr.splitlines() if line.strip()), "no reason given"
        )
        reason = reason.strip().removeprefix("error:").strip().rstrip(".")
        raise InstallError(f"uv sync failed ({reason}).")
