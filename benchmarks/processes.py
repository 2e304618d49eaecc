"""What processes cost: CPU time and memory of a process with everything it started."""

import psutil


def cpu_s(process: psutil.Process) -> float:
    """Return user and system time so far of a process, its children that live and those that ended, in seconds."""
    total = 0.0
    for one in _family(process):
        times = one.cpu_times()
        total += times.user + times.system
    own = process.cpu_times()
    return float(total + own.children_user + own.children_system)


def memory_mb(process: psutil.Process) -> float:
    """Return the proportional share of memory: pages that several processes share are counted once in all."""
    return sum(one.memory_full_info().pss for one in _family(process)) / 1e6


def _family(process: psutil.Process) -> list[psutil.Process]:
    return [process, *process.children(recursive=True)]
