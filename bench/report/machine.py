"""The machine that is measured on, and what it does for others meanwhile."""

import os
import platform
import resource
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def field_of(path: str, name: str) -> str:
    for line in read(path).splitlines():
        if line.startswith(name):
            return line.split(":", 1)[1].strip()
    return ""


def real_time_allowed() -> bool:
    tried = subprocess.run(["chrt", "-r", "10", "true"], capture_output=True, check=False)
    return tried.returncode == 0


def describe() -> dict[str, str]:
    system = dict(line.split("=", 1) for line in read("/etc/os-release").splitlines() if "=" in line)
    memory_kb = int(field_of("/proc/meminfo", "MemTotal").split()[0] or 0)
    compiler = subprocess.run(["c++", "--version"], capture_output=True, text=True, check=False)
    commit = subprocess.run(["git", "-c", "safe.directory=*", "describe", "--always", "--dirty"], cwd=Path(__file__).parent,
                            capture_output=True, text=True, check=False)
    return {
        "shmq": commit.stdout.strip() or "not known",
        "processor": field_of("/proc/cpuinfo", "model name"),
        "processors": str(os.cpu_count()),
        "MHz": field_of("/proc/cpuinfo", "cpu MHz"),
        "hypervisor": "yes" if "hypervisor" in field_of("/proc/cpuinfo", "flags").split() else "no",
        "clock": read("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
        "memory": f"{memory_kb / 2**20:.1f} GiB",
        "huge pages of shared memory": read("/sys/kernel/mm/transparent_hugepage/shmem_enabled"),
        "kernel": platform.release(),
        "system": system.get("PRETTY_NAME", "").strip('"'),
        "compiler": compiler.stdout.splitlines()[0] if compiler.stdout else "",
        "real-time priority": "yes" if real_time_allowed() else "not allowed: figures will be noisier",
        "load when it began": " ".join(read("/proc/loadavg").split()[:3]),
    }


def version_of(package: str) -> str:
    """What Debian calls it; nothing where it is not installed."""
    if not package:
        return ""
    done = subprocess.run(["dpkg-query", "-W", "-f=${db:Status-Status} ${Version}", package],
                          capture_output=True, text=True, check=False)
    status, _, version = done.stdout.partition(" ")
    return version if status == "installed" else ""


@dataclass
class Disturbance:
    """Shares of all processors' time that went to others while something of ours ran."""
    stolen: float  # the host gave it to other machines
    foreign: float  # other processes of this machine had it


class Watch:
    """Counts from when it is made."""

    def __init__(self):
        self.started = time.monotonic()
        self.busy, self.stolen = self.counters()
        self.ours = self.own_seconds()

    @staticmethod
    def counters() -> tuple[int, int]:
        user, nice, kernel, _, _, irq, softirq, steal = map(
            int, read("/proc/stat").splitlines()[0].split()[1:9])
        return user + nice + kernel + irq + softirq, steal

    @staticmethod
    def own_seconds() -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        own = resource.getrusage(resource.RUSAGE_SELF)
        return used.ru_utime + used.ru_stime + own.ru_utime + own.ru_stime

    def disturbance(self) -> Disturbance:
        all_seconds = (time.monotonic() - self.started) * (os.cpu_count() or 1)
        busy, stolen = self.counters()
        foreign = (busy - self.busy) / TICKS_PER_SECOND - (self.own_seconds() - self.ours)
        return Disturbance((stolen - self.stolen) / TICKS_PER_SECOND / all_seconds,
                           max(0.0, foreign / all_seconds))
