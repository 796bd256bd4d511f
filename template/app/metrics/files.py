"""Where the workers of a service keep their metrics: files in a folder that they share."""

import os
import re
import shutil
import tempfile
from multiprocessing import parent_process
from pathlib import Path

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"


def share_between_workers() -> None:
    """Choose the folder, unless this is the only worker.

    All workers of a service have the same parent, so it is that process'.
    """
    alone = int(os.environ.get("WEB_CONCURRENCY") or 1) == 1 and parent_process() is None
    if not alone:
        share_below(os.getppid())


def share_below(parent: int) -> None:
    """Choose the folder for a process and those that it starts, unless `PROMETHEUS_MULTIPROC_DIR` names one."""
    if VARIABLE in os.environ:
        return
    memory = Path("/dev/shm")  # noqa: S108  (a folder of our own in it)
    base = memory if os.access(memory, os.W_OK) else Path(tempfile.gettempdir())
    # Containers may share the memory, and have the same ids in it.
    prefix = f"metrics-{os.getuid()}-{_process_ids()}-"
    folder = base / f"{prefix}{parent}-{_started(parent)}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise PermissionError(f"{folder} is somebody else's")
    os.environ[VARIABLE] = str(folder)
    for left in base.glob(f"{prefix}*"):  # by services that have ended
        found = re.fullmatch(r"(\d+)-(\d+)", left.name.removeprefix(prefix))
        if found and _started(int(found[1])) != found[2]:
            shutil.rmtree(left, ignore_errors=True)


def _process_ids() -> int:
    """Return the namespace in which process ids count."""
    try:
        return os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        return 0


def _started(pid: int) -> str:
    """Return when a process began, in ticks since the machine did; ids are used again."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return "ended"
