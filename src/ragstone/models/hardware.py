"""What this process may use of the machine's processor."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from pathlib import Path

CPU_DESCRIPTION = Path("/proc/cpuinfo")
CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")
BACKGROUND_NICENESS = 10
"""A tenth of the share of a thread that nobody lowered."""
BF16_FLAGS = frozenset({"avx512_bf16", "amx_bf16"})


def usable_cores(quota: Path = CPU_QUOTA) -> int:
    """Cores that this process may keep busy: its affinity, or its container's quota when that is less."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        limit, period = quota.read_text().split()
    except (OSError, ValueError):
        return allowed
    return allowed if limit == "max" else max(1, min(allowed, int(limit) // int(period)))


def give_way() -> None:
    """Lower the priority of the calling thread, and of the threads that it starts from now on.

    On Linux, where priorities belong to threads; elsewhere nothing happens.
    """
    if sys.platform == "linux":
        thread = threading.get_native_id()
        with contextlib.suppress(OSError):
            # A process that was started at less keeps that: root could raise it.
            niceness = max(os.getpriority(os.PRIO_PROCESS, thread), BACKGROUND_NICENESS)
            os.setpriority(os.PRIO_PROCESS, thread, niceness)


def multiplies_bf16(description: Path = CPU_DESCRIPTION) -> bool:
    """Whether the processor has bfloat16 instructions (AVX-512 or AMX)."""
    try:
        lines = description.read_text().splitlines()
    except OSError:
        return False
    flags = next((line for line in lines if line.startswith("flags")), "")
    return not BF16_FLAGS.isdisjoint(flags.split())
