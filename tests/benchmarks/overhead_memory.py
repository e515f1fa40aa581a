"""The most memory this process has had."""

from __future__ import annotations

import resource
from pathlib import Path


def peak_rss_mb() -> float:
    # getrusage is the second choice: on Linux a child starts with its parent's peak.
    try:
        status = Path("/proc/self/status").read_text(encoding="utf-8")
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024
