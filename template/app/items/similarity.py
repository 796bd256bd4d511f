"""How alike names are: plain Python that computes for long, for the process pool."""

from collections.abc import Iterable
from difflib import SequenceMatcher
from heapq import nlargest


def most_similar(
    name: str, others: Iterable[tuple[int, str]], *, number: int
) -> list[tuple[float, int, str]]:
    """Return how alike (0 to 1) the names most like this one are, with their ids, best first."""
    matcher = SequenceMatcher(autojunk=False)
    matcher.set_seq2(name.casefold())  # what it prepares is for this one

    def alike(other: str) -> float:
        matcher.set_seq1(other.casefold())
        return matcher.ratio()

    return nlargest(number, ((alike(other), other_id, other) for other_id, other in others))
