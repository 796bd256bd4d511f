"""How migrations wait for locks: for a moment, and again, as all reads of a table wait behind them."""

LOCK_TIMEOUT = 3  # seconds
TRIES = 20
PAUSE = 5.0  # seconds
