"""What parts of the service count of their own; the metrics read it, where there are any."""

from collections import Counter
from collections.abc import Mapping, Sequence
from threading import Lock


class Count:
    """A number that only grows, by the values of its labels, which must be few.

    Make one at import, as a constant of the module that counts. Adding to it costs a tenth
    of what a metric does: metrics take over what is new ten times a second.

    Args:
        name: as metrics have it, without `_total`.
        text: what it is, for people.
        labels: their names.
    """

    def __init__(self, name: str, text: str, labels: Sequence[str] = ()) -> None:
        self.name, self.text, self.labels = name, text, labels
        self._new: Counter[tuple[str, ...]] = Counter()
        self._lock = Lock()  # threads count too
        all_counts.append(self)

    def add(self, *values: str, number: int = 1) -> None:
        """Count, under the labels' values."""
        with self._lock:
            self._new[values] += number

    def take_new(self) -> Mapping[tuple[str, ...], int]:
        """Return what was added since the last time, by the labels' values."""
        with self._lock:
            new, self._new = self._new, Counter()
        return new


all_counts: list[Count] = []
