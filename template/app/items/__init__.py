"""The example feature: copy it. `fastperf change example=no` takes it out."""
