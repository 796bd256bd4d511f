"""What parts of the service count of their own."""

from app.observability.counts import Count, all_counts


def test_a_count_is_taken_over_once() -> None:
    count = Count("cups", "Cups of tea.", ["kind"])
    all_counts.remove(count)

    count.add("green")
    count.add("green", number=2)
    count.add("black")

    assert count.take_new() == {("green",): 3, ("black",): 1}
    assert count.take_new() == {}
