"""`python -m fastperf_new` is `fastperf`."""

from fastperf_new.cli import main

main()
