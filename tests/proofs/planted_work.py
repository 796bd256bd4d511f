"""Jobs that the tests watch: planted into a rendered project as a feature's `work.py`."""
