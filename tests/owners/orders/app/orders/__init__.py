"""Orders: a feature of the owner's."""
