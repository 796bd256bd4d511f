"""What parts of the service count of their own."""

import sys
from collections import Counter
from collections.abc import Iterator
from threading import Thread

import pytest

from app.observability.counts import Count, all_counts


@pytest.fixture
def threads_take_turns_often() -> Iterator[None]:
    """At any instruction, nearly."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


@pytest.mark.usefixtures("threads_take_turns_often")
def test_threads_may_count() -> None:
    count = Count("cups", "Cups of tea.")
    all_counts.remove(count)
    taken: Counter[tuple[str, ...]] = Counter()

    def drink() -> None:
        for _ in range(50_000):
            count.add()

    threads = [Thread(target=drink) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        taken.update(count.take_new())
    taken.update(count.take_new())

    assert taken[()] == 200_000


def test_a_count_is_taken_over_once() -> None:
    count = Count("cups", "Cups of tea.", ["kind"])
    all_counts.remove(count)

    count.add("green")
    count.add("green", number=2)
    count.add("black")

    assert count.take_new() == {("green",): 3, ("black",): 1}
    assert count.take_new() == {}
