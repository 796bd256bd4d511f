"""The metrics of all workers, the dead ones included, as any worker tells them.

Every worker writes into files of its own. prometheus_client adds them up when it is asked,
and never deletes one: what dead workers counted is put together here, so that the folder
does not grow with each restart.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from prometheus_client import REGISTRY, CollectorRegistry, PlatformCollector, generate_latest
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector

from app.metrics.files import VARIABLE
from app.metrics.processes import Processes

DEAD = "0"  # stands for all dead workers in the name of a file; no process has this id


def exposition() -> bytes:
    """Return the metrics of all workers in Prometheus' text format."""
    if VARIABLE not in os.environ:
        return generate_latest(REGISTRY)
    folder = Path(os.environ[VARIABLE])
    folder.mkdir(mode=0o700, exist_ok=True)  # something may have tidied up
    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    PlatformCollector(registry)
    with _alone(folder):
        _bury(folder)
        pids = {file.stem.rpartition("_")[2] for file in folder.glob("*.db")} - {DEAD}
        registry.register(Processes(sorted(map(int, pids))))
        return generate_latest(registry)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other workers from putting the dead together, or reading, meanwhile."""
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _bury(folder: Path) -> None:
    """Put what dead workers counted together, and forget their gauges."""
    for left in folder.glob("*.taken"):  # by one that was killed here: it may be in the total
        left.unlink(missing_ok=True)
    for file in folder.glob("*.db"):
        kind, _, pid = file.stem.rpartition("_")
        with suppress(FileNotFoundError):
            empty = file.stat().st_size == 0  # its worker was killed as it made it
            used = not empty if pid == DEAD else _alive(int(pid))
            if used:
                continue
            taken = file.rename(file.with_suffix(".taken"))  # no one can add it up again
            if not empty and not kind.startswith("gauge"):
                _add(taken, folder / f"{kind}_{DEAD}.db")
            taken.unlink(missing_ok=True)


def _add(file: Path, total: Path) -> None:
    """Add what a file has to those of all the dead."""
    sums = MmapedDict(str(total))
    for key, value, _, _ in MmapedDict.read_all_values_from_file(str(file)):
        sums.write_value(key, sums.read_value(key)[0] + value, 0.0)
    sums.close()


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
