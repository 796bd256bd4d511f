"""What parts of the service count of their own."""

from threading import Event, Thread

from app.observability.counts import Count, all_counts
from tests.waiting import HANG


def test_nothing_is_lost_that_another_thread_counts() -> None:
    count = Count("cups", "Cups of tea.", ["kind"])
    all_counts.remove(count)
    looked, taken = Event(), Event()
    numbers: list[int] = []

    class Kind(str):
        def __hash__(self) -> int:  # in the middle of counting
            looked.set()
            taken.wait(0.2)  # in vain where the other has to wait
            return super().__hash__()

    def take() -> None:
        looked.wait(HANG)
        numbers.extend(count.take_new().values())
        taken.set()

    other = Thread(target=take)
    other.start()
    count.add(Kind("green"))
    other.join()

    assert [*numbers, *count.take_new().values()] == [1]


def test_a_count_is_taken_over_once() -> None:
    count = Count("cups", "Cups of tea.", ["kind"])
    all_counts.remove(count)

    count.add("green")
    count.add("green", number=2)
    count.add("black")

    assert count.take_new() == {("green",): 3, ("black",): 1}
    assert count.take_new() == {}
