"""How many processes can run at once on this machine, or in this container."""

import os
from math import ceil
from pathlib import Path


def cpus(cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """Return how many processes can run at once: cores, or what a container's quota leaves.

    https://docs.kernel.org/admin-guide/cgroup-v2.html#cpu-interface-files
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    quota, period = "max", "0"  # microseconds
    if (now := cgroup / "cpu.max").exists():
        quota, period = now.read_text().split()
    elif (older := cgroup / "cpu/cpu.cfs_quota_us").exists():  # version 1
        quota, period = older.read_text(), (cgroup / "cpu/cpu.cfs_period_us").read_text()
    unlimited = quota == "max" or int(quota) < 0
    return (cores or 1) if unlimited else min(cores or 1, ceil(int(quota) / int(period)))
