"""How many workers the database bears."""


def most_workers() -> int:
    """Return how many workers to run unless told otherwise: one process writes at a time."""
    return 1
