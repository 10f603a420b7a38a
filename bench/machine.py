"""What a benchmark asks of the machine: processors to pin to, time and memory of processes, its name."""

import contextlib
import os
import platform
import resource
from collections.abc import Iterable
from pathlib import Path

CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
SERVER_CPU = 0
CLIENT_CPU = 1
"""Where the load client, the publisher and the backing stores run: beside the server, not on its core."""


def processor(number: int) -> set[int]:
    """The set that holds this processor, or the one that takes its place on a smaller machine."""
    return {number % (os.cpu_count() or 1)}


def pin(pid: int, number: int) -> None:
    """Moves a process with all its threads to a processor; what it starts later stays there too."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(int(task.name), processor(number))


def cpu_seconds(pids: Iterable[int]) -> float:
    """Processor time of these processes so far, user and system, to 10 ms."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / CLOCK_TICKS


def busy_seconds() -> float:
    """Processor time that the machine has spent so far, on all processors together."""
    user, nice, system, _, _, irq, softirq, *_ = Path("/proc/stat").read_text().split()[1:10]
    return sum(map(int, (user, nice, system, irq, softirq))) / CLOCK_TICKS


def resident_bytes(pids: Iterable[int]) -> int:
    """Resident memory of these processes."""
    return sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES for pid in pids)


def kernel_bytes() -> int:
    """Memory that the kernel holds in slabs and for TCP: of a connection over loopback, both ends."""
    slab = 0
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("Slab:"):
            slab = int(line.split()[1]) * 1024
    for line in Path("/proc/net/sockstat").read_text().splitlines():
        if line.startswith("TCP:"):
            slab += int(line.split()[-1]) * PAGE_BYTES
    return slab


def children(pid: int) -> list[int]:
    """The processes that this one started and that still run."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += [int(child) for child in (task / "children").read_text().split()]
    return found


def allow_many_files() -> None:
    """Raises this process's limit of open files as far as it may; what it starts inherits that."""
    wanted = 1 << 20
    with contextlib.suppress(ValueError, PermissionError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
        return
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def machine() -> str:
    """What the figures were taken on."""
    model = "unknown processor"
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    gigabytes = os.sysconf("SC_PHYS_PAGES") * PAGE_BYTES / 2**30
    return (
        f"{os.cpu_count()} x {model}, {gigabytes:.0f} GiB, "
        f"Linux {platform.release().partition('-')[0]}, "
        f"Python {platform.python_version()}"
    )
