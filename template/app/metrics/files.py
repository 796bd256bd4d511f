"""Where the workers of a service keep their metrics: files in a folder that they share.

The files are named after processes, whose ids containers that share a folder have alike. So
each start of a service has a folder of its own, and a lock in it says that a worker uses it:
that holds across containers, where an id says nothing.
"""

import fcntl
import os
import shutil
import tempfile
from contextlib import suppress
from multiprocessing import parent_process
from multiprocessing.util import Finalize
from pathlib import Path
from typing import TextIO

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
CHOSEN = "METRICS_FOLDER"  # what that is once a folder was chosen: processes to come find both
PREFIX = "service-metrics-"
LOCK = "used"

_held: list[TextIO] = []


def share_between_workers() -> None:
    """Make the folder, in the one that `PROMETHEUS_MULTIPROC_DIR` names or in memory.

    All workers of a service have the same parent, so it is named after that. One that is the
    only one needs none, unless the variable is set.
    """
    alone = int(os.environ.get("WEB_CONCURRENCY") or 1) == 1 and parent_process() is None
    if not alone:
        share_below(os.getppid())
    elif os.environ.get(VARIABLE):
        share_below(os.getpid())


def share_below(parent: int) -> None:
    """Make the folder for a process and those that it starts; it goes with the last of them."""
    named = os.environ.get(VARIABLE)
    if named and named == os.environ.get(CHOSEN):
        return  # by the process that started this one
    base = Path(named) if named else _memory()
    base.mkdir(parents=True, exist_ok=True)
    user = f"{PREFIX}{os.getuid()}-"
    folder = base / f"{user}{_process_ids()}-{parent}-{_started(parent)}"
    _held.append(_hold(folder))
    # Not `atexit`, which a process that multiprocessing has started does not come to.
    Finalize(None, leave, exitpriority=0)
    os.environ[VARIABLE] = os.environ[CHOSEN] = str(folder)
    for left in base.glob(f"{user}*"):  # by services that were killed
        _remove_unless_used(left)


def leave() -> None:
    """Remove the folder if no other worker uses it.

    A service does so when it stops: uvicorn then ends its process by a signal, which skips
    what was to be done at the end of Python.
    """
    while _held:
        lock = _held.pop()
        lock.close()
        _remove_unless_used(Path(lock.name).parent)


def _memory() -> Path:
    memory = Path("/dev/shm")  # noqa: S108  (a folder of our own in it)
    return memory if os.access(memory, os.W_OK) else Path(tempfile.gettempdir())


def _hold(folder: Path) -> TextIO:
    """Make a folder, and have it in use until what is returned is closed."""
    while True:
        with suppress(FileNotFoundError):  # whoever was the last to use it has just removed it
            folder.mkdir(mode=0o700, exist_ok=True)
            if folder.is_symlink() or folder.stat().st_uid != os.getuid():
                raise PermissionError(f"{folder} is somebody else's")
            lock = (folder / LOCK).open("a")
            fcntl.flock(lock, fcntl.LOCK_SH)
            if os.path.samestat(os.fstat(lock.fileno()), (folder / LOCK).stat()):
                return lock


def _remove_unless_used(folder: Path) -> None:
    # Whatever else may bear such a name, and in a folder of all users anything may, stays.
    if folder.is_symlink() or not folder.is_dir() or folder.stat().st_uid != os.getuid():
        return
    with suppress(OSError):
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(lock)


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
