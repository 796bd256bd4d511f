"""The example feature; delete this package and `tests/items/` when you have your own."""
