"""Notes: a feature of the owner's."""
