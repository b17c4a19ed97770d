"""Runs rows: one process each, on a machine that is quiet, the machine's limits measured between them."""
import hashlib
import subprocess
import sys
import tempfile
from pathlib import Path

from harness import answers, machine
from harness.machine import NOISY
from harness.workloads import OURS, PEERS, PRECISIONS, WORKLOADS, engine_name

BENCH = Path(__file__).resolve().parents[1]
UNSTEADY = 1.04  # median over minimum: a neighbour that this machine cannot see
TRIES = 3
ROW_SECONDS = 120


class Setup:
    """Where things are. `python` runs the peers; None: only Fathom is measured."""

    def __init__(self, programs, models, python, quiet_wait):
        self.programs, self.models, self.python, self.quiet_wait = programs, models, python, quiet_wait
        parts = [(programs / name).read_bytes() for name in ("peer_row", "limits") if (programs / name).exists()]
        self.build = hashlib.sha256(b"".join(parts)).hexdigest()[:12]

    def model(self, shape):
        return self.models / f"{shape}.safetensors"


def say(text):
    print(text, file=sys.stderr, flush=True)


def groups(workloads, precisions, threads):
    """Keys in the order of measuring: what is compared lies close together in time."""
    return [(w, p, t) for w in workloads for p in precisions for t in threads]


def entrants(key, peers):
    """(engine, layout) of a group, ours first."""
    workload, precision, _ = key
    load = WORKLOADS[workload]
    able = [engine for engine in peers if precision in PEERS[engine].precisions and load.shape in PEERS[engine].shapes]
    return [(OURS, "packed")] + [(engine, layout) for engine in able for layout in load.layouts()]


def command(setup, key, engine, layout, output):
    workload, precision, threads = key
    asked = ["--workload", workload, "--precision", precision, "--threads", threads, "--output", output]
    if engine == OURS:
        inputs = setup.models / f"{workload}.safetensors"
        return [setup.programs / "peer_row", "--model", setup.model(WORKLOADS[workload].shape), "--inputs", inputs, *asked]
    return [setup.python, "-m", "peers.row", engine, "--models", setup.models, "--layout", layout, *asked]


def measure_once(setup, key, engine, layout):
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "hidden"
        row = machine.run_fresh(command(setup, key, engine, layout, output), key[2], BENCH, ROW_SECONDS)
        row |= answers.compare(setup.models / f"{key[0]}.safetensors", output)
    return {"version": "", "computes": key[1], **row}


def measure_row(setup, key, engine, layout):
    """The best of up to TRIES processes, one if it was quiet and steady; or {"error": why}. The rule is the same for every engine."""
    tries = []
    try:
        while len(tries) < TRIES:
            others = machine.wait_until_quiet(setup.quiet_wait)
            row = measure_once(setup, key, engine, layout)
            tries.append(row)
            if others > NOISY or (row["foreign_cpu"] <= NOISY and row["median_ms"] <= UNSTEADY * row["min_ms"]):
                break  # a machine that does not become quiet is not waited for again
    except (machine.Failed, ValueError, OSError) as problem:
        tries = tries or [{"error": str(problem)}]
    best = min(tries, key=lambda row: (row.get("foreign_cpu", 0) > NOISY, row.get("median_ms", 0)))
    names = dict(zip(("workload", "precision", "threads"), key))
    return {**names, "engine": engine, "layout": layout, **best, "tries": len(tries)}


def measure_limits(setup, key):
    """None where bench/limits was not built."""
    workload, precision, threads = key
    if not (setup.programs / "limits").exists():
        return None
    size = WORKLOADS[workload].weight_bytes(precision)
    asked = ["--precision", precision, "--threads", threads, "--bytes", size]
    for _ in range(TRIES):
        others = machine.wait_until_quiet(setup.quiet_wait)
        got = machine.run_fresh([setup.programs / "limits", *asked], threads, BENCH, ROW_SECONDS)
        if others > NOISY or got["foreign_cpu"] <= NOISY:
            break
    return {"workload": workload, **{name: value for name, value in got.items() if name != "peak_mb"}}


def measure_group(setup, key, peers, store):
    names = dict(zip(("workload", "precision", "threads"), key))
    missing = [e for e in entrants(key, peers) if not store.has_row(**names, engine=e[0], layout=e[1])]
    if not missing:
        return
    add_limits(setup, key, store)
    for engine, layout in missing:
        row = measure_row(setup, key, engine, layout)
        store.add("row", row)
        what = f"{row['median_ms']:9.2f} ms" if "median_ms" in row else "not measured: " + row["error"]
        say(f"{key[0]:6} {key[1]:5} {key[2]} {engine_name(engine):13} {layout:8} {what}")
        add_limits(setup, key, store)


def add_limits(setup, key, store):
    limits = measure_limits(setup, key)
    if limits is not None:
        store.add("limit", limits)


def pack(setup, shapes, precisions):
    """Fathom's packed weights, by this build."""
    for shape in shapes:
        for precision in PRECISIONS:
            stamp = setup.models / f"{shape}.{precision}.packed"
            if precision not in precisions or (stamp.exists() and stamp.read_text() == setup.build):
                continue
            say(f"packing {shape} {precision}")
            done = subprocess.run([setup.programs / "peer_row", "--pack", "--model", setup.model(shape), "--precision", precision],
                                  capture_output=True, text=True)
            if done.returncode != 0:
                raise machine.Failed(done.stderr.strip() or f"peer_row --pack: exit code {done.returncode}")
            stamp.write_text(setup.build)
