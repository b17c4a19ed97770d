"""This machine: its name in results, whether it is quiet, and a process of its own with what that used."""
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

FAMILIES = ("xeon", "epyc", "ryzen", "threadripper", "core", "graviton", "neoverse", "ampere")
QUIET = 0.06  # share of one CPU that others may use when a row starts
NOISY = 0.1   # a row during which they used more is not to be trusted
POLL_SECONDS = 0.5


def busy_seconds():
    """Of all CPUs, idle and waiting for disks left out; time stolen by other tenants counts."""
    with open("/proc/stat", encoding="ascii") as file:
        user, nice, system, _, _, *rest = map(int, file.readline().split()[1:])
    return (user + nice + system + sum(rest[:3])) / os.sysconf("SC_CLK_TCK")


def own_seconds():
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


class Foreign:
    """Seconds and CPU seconds since it was made, to tell what others used."""

    def __init__(self):
        self.start, self.busy, self.own = time.monotonic(), busy_seconds(), own_seconds()

    def share(self):
        used = busy_seconds() - self.busy - (own_seconds() - self.own)
        return max(0.0, used) / max(1e-9, time.monotonic() - self.start)


def wait_until_quiet(limit_seconds):
    """The share that others use when it returns: below QUIET, or whatever it is after limit_seconds."""
    end = time.monotonic() + limit_seconds
    while True:
        others = Foreign()
        time.sleep(POLL_SECONDS)
        share = others.share()
        if share < QUIET or time.monotonic() >= end:
            return share


class Failed(Exception):
    """A process that was to print a row did not; the text says why."""


# A process starts with the peak of whoever started it, for as long as it is not exceeded: a starter of some 10 MB, not this one.
STARTER = """import os, sys
child = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ)
_, status, used = os.wait4(child, 0)
print(os.waitstatus_to_exitcode(status), used.ru_maxrss, flush=True)"""


def start_and_wait(command, threads, folder, timeout_seconds, talk):
    """What `command` printed, its exit code and its peak in 10^6 bytes; code and peak are None when time ran out."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    starter = subprocess.Popen([sys.executable, "-I", "-S", "-c", STARTER, *map(str, command)], stdout=subprocess.PIPE, stderr=talk,
                               env=environment, text=True, cwd=folder, start_new_session=True)
    try:
        printed, _ = starter.communicate(timeout=timeout_seconds)
    except BaseException as reason:
        os.killpg(starter.pid, signal.SIGKILL)
        starter.communicate()
        if isinstance(reason, subprocess.TimeoutExpired):
            return "", None, None
        raise
    *printed, ending = printed.splitlines() or [""]
    if starter.returncode != 0 or not ending:
        return "", starter.returncode, 0.0
    code, peak_kib = map(int, ending.split())
    return "\n".join(printed), code, peak_kib * 1024 / 1e6


def run_fresh(command, threads, folder, timeout_seconds):
    """The JSON object that a process of its own prints last; peak_mb (10^6 bytes) and foreign_cpu are added to it."""
    others = Foreign()
    with tempfile.TemporaryFile("w+", errors="replace") as talk:
        printed, code, peak_mb = start_and_wait(command, threads, folder, timeout_seconds, talk)
        talk.seek(0)
        said = talk.read().strip().splitlines()
    if code is None:
        raise Failed(f"not done after {timeout_seconds} s")
    lines = [line for line in printed.splitlines() if line.startswith("{")]
    if code != 0 or not lines:
        raise Failed(said[-1][:300] if said else f"exit code {code}, nothing printed")
    return {**json.loads(lines[-1]), "peak_mb": peak_mb, "foreign_cpu": others.share()}


def cpu_name():
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
        return next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), "unknown CPU")


def results_name(cpu, tier, cores):
    """xeon-avx512-2cores: the kind of machine, not which one."""
    words = re.findall(r"[a-z]+", cpu.lower())
    family = next((f for f in FAMILIES if f in words), "cpu")
    return f"{family}-{tier}-{cores}cores"


def usable_cores():
    return len(os.sched_getaffinity(0))
