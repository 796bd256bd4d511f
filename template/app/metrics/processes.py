"""Of several workers, what prometheus_client measures of a process where there is only one."""

import gc
from collections import Counter as Counts
from collections.abc import Iterable, Iterator

from prometheus_client import Counter, Metric, ProcessCollector
from prometheus_client.registry import Collector

# Under its own names. Not in the registry of one process, which has them already.
_COLLECTIONS = {
    "collected": Counter(
        "python_gc_objects_collected", "Collected.", ["generation"], registry=None
    ),
    "uncollectable": Counter(
        "python_gc_objects_uncollectable", "Not collected.", ["generation"], registry=None
    ),
    "collections": Counter("python_gc_collections", "Collections.", ["generation"], registry=None),
}
_counted: Counts[tuple[str, int]] = Counts()


def count_collections() -> None:
    """Take over what the garbage collector has done since the last time."""
    for generation, done in enumerate(gc.get_stats()):
        for name, counter in _COLLECTIONS.items():
            new = done[name] - _counted[name, generation]
            if new:
                _counted[name, generation] += new
                counter.labels(str(generation)).inc(new)


class Processes(Collector):
    """Measures memory, CPU and files of each process, under its id.

    Args:
        pids: of the processes.
    """

    def __init__(self, pids: Iterable[int]) -> None:
        self._pids = pids

    def collect(self) -> Iterator[Metric]:
        """Give the metrics, each with a sample for every process."""
        found: dict[str, Metric] = {}
        for pid in self._pids:
            of_one = ProcessCollector(pid=lambda pid=pid: pid, registry=None)  # type: ignore[misc]
            for metric in of_one.collect():
                together = found.setdefault(
                    metric.name, Metric(metric.name, metric.documentation, metric.type)
                )
                for sample in metric.samples:
                    together.add_sample(sample.name, {"pid": str(pid)}, sample.value)
        yield from found.values()
