"""How many workers there are unless told otherwise."""


def most_workers() -> int:
    """Return 1: another worker would not see all that the first one keeps."""
    return 1
