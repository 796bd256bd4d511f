"""Installing a project's dependencies with uv."""

import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

from fastperf_new.deferring import deferred


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
        Stopped: when a signal comes meanwhile; uv has ended.
    """
    environment = {key: value for key, value in os.environ.items() if key != "VIRTUAL_ENV"}
    words = [find_uv(), "sync", "--quiet", "--no-progress"]
    code, errors = _run(words, folder, {**environment, "NO_COLOR": "1"})
    if code:
        reason = next((line for line in errors.splitlines() if line.strip()), "no reason given")
        reason = reason.strip().removeprefix("error:").strip().rstrip(".")
        raise InstallError(f"uv sync failed ({reason}).")


def _run(words: list[str], folder: Path, environment: Mapping[str, str]) -> tuple[int, str]:
    """Run a program without a terminal; return its exit code, and what it reports as errors."""
    process = None
    try:
        with deferred():
            process = subprocess.Popen(
                words,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                env=environment,
                start_new_session=True,  # one group, to be ended as a whole
            )
        _, errors = process.communicate()
        return process.returncode, errors
    except OSError as error:
        raise InstallError(f"uv cannot be started ({error}).") from None
    finally:
        if process and process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
