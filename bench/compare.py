#!/usr/bin/env python3
"""Fathom beside other engines on this machine: measures rows, prints ratios, writes results and a page of bars.

    python3 bench/compare.py [--rows "W1 W6 int8 1"] [--peers ort,openvino,ct2 | --peers 0] [--fresh]
    python3 bench/compare.py --show bench/results/MACHINE.json       prints the table of an earlier run, writes its page

`make bench` builds and installs what this needs, then runs it. A run goes on where an interrupted one of the same build
stopped. All rows: bench/results/MACHINE.json and .html; a part of them: the same names in --out. Exit codes: 0, 1 a row of
Fathom failed, 2 wrong flags, 130 interrupted. bench/README.md says how rows are measured.
"""
import argparse
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from harness import machine, measure, page, table, verdict  # noqa: E402
from harness.store import Store  # noqa: E402
from harness.workloads import OURS, PEERS, PRECISIONS, WORKLOADS  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
THREADS = (1, 2)
PASSES = 2


class Stop(Exception):
    """An error to tell the user, with what to do next and the exit code."""

    def __init__(self, text, hint, code=2):
        super().__init__(text)
        self.hint, self.code = hint, code


def choose_rows(text):
    """Workloads, precisions and threads named in `text`; all of a kind of which none is named."""
    chosen = {"workload": [], "precision": [], "threads": []}
    for word in text.replace(",", " ").split():
        if word in WORKLOADS:
            chosen["workload"].append(word)
        elif word in PRECISIONS:
            chosen["precision"].append(word)
        elif word.isdigit() and int(word) in THREADS:
            chosen["threads"].append(int(word))
        else:
            raise Stop(f"--rows: '{word}' is no workload, precision or number of threads",
                       f"known: {' '.join(WORKLOADS)}, {' '.join(PRECISIONS)}, {' '.join(map(str, THREADS))}")
    return tuple(chosen[kind] or list(every) for kind, every in zip(chosen, (WORKLOADS, PRECISIONS, THREADS)))


def choose_peers(text):
    names = [] if text == "0" else text.split(",")
    for name in names:
        if name not in PEERS:
            raise Stop(f"--peers: '{name}' is no engine", f"known: {' '.join(PEERS)}; 0 for none")
    return names


def parse(arguments):
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)
    flags.add_argument("--rows", default="", help="workloads, precisions, numbers of threads; default: all")
    flags.add_argument("--peers", default=",".join(PEERS), help="engines to compare with; 0: none")
    flags.add_argument("--build", type=Path, default=ROOT / "build/release/bench", help="folder of peer_row and limits")
    flags.add_argument("--models", type=Path, default=ROOT / "runs/bench/models", help="folder of models, made when missing")
    flags.add_argument("--python", type=Path, default=ROOT / ".deps/bench/bin/python", help="has the packages of requirements/bench.txt")
    flags.add_argument("--out", type=Path, default=ROOT / "runs/bench", help="what was measured so far, and results of a part of the rows")
    flags.add_argument("--quiet-wait", type=float, default=60, help="seconds to wait for a quiet machine before each row")
    flags.add_argument("--fresh", action="store_true", help="forget what was measured before")
    flags.add_argument("--show", type=Path, help="a results file: no measuring")
    return flags.parse_args(arguments)


def prepare(asked, peers, shapes):
    """Models, inputs, references, and the engines' files; done in seconds where all are there."""
    stems = [*shapes, *(w for w, workload in WORKLOADS.items() if workload.shape in shapes)]
    missing = [stem for stem in stems if not (asked.models / f"{stem}.safetensors").exists()]
    if not peers and not missing:
        return
    if not asked.python.exists():
        raise Stop(f"there is no {asked.python} to " + (f"make the missing models {', '.join(missing)}" if missing else "run the peers"),
                   "python3 tools/setup.py --bench", 1)
    log = asked.out / "prepare.log"
    asked.out.mkdir(parents=True, exist_ok=True)
    measure.say(f"models: checking; where any are missing, making them takes minutes ({log})")
    with open(log, "a", encoding="utf-8") as file:
        done = subprocess.run([asked.python, "-m", "peers.prepare", asked.models, *shapes], cwd=measure.BENCH, stdout=file, stderr=file)
    if done.returncode != 0:
        raise Stop("models could not be prepared", f"the end of {log} says why", 1)


def facts(store, peers):
    """Of the machine and of what ran on it."""
    ours = next((r for r in store.rows() if r["engine"] == OURS and "tier" in r), None)
    if ours is None:
        why = next((r["error"] for r in store.rows() if r["engine"] == OURS and "error" in r), "none was asked for")
        raise Stop(f"no row of Fathom was measured: {why}", "run peer_row by hand", 1)
    cpu, cores = machine.cpu_name(), machine.usable_cores()
    cache = max((m["cache_bytes"] for m in store.limits()), default=0)
    versions = {r["engine"]: r["version"] for r in store.rows() if r.get("version")}
    return {"name": machine.results_name(cpu, ours["tier"], cores), "cpu": cpu, "tier": ours["tier"], "cores": cores,
            "cache_mb": cache / 1e6, "versions": {p: versions[p] for p in peers if p in versions}, "measured": time.strftime("%Y-%m-%d")}


def results_of(store, peers, keys):
    def kept(record):
        return (record["workload"], record["precision"], record["threads"]) in keys and record.get("engine", OURS) in [OURS, *peers]

    rows, limits = ([{k: v for k, v in r.items() if k not in ("kind", "build")} for r in records if kept(r)] for records in (store.rows(), store.limits()))
    order = {key: place for place, key in enumerate(keys)}
    rows.sort(key=lambda r: order[r["workload"], r["precision"], r["threads"]])
    return {"machine": facts(store, peers), "build": store.build, "verdicts": verdict.judge_all(rows, limits),
            "rows": rows, "limits": limits}


def show(results, folder):
    failed = [row for row in results["rows"] if "error" in row]
    for line in table.lines(results["verdicts"], failed):
        print(line)
    name = results["machine"]["name"]
    (folder / f"{name}.html").write_text(page.render(results), encoding="utf-8")
    measure.say(f"page: {folder / name}.html")


def read_results(path):
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise Stop(f"--show {path}: {problem}", "name a results file that make bench wrote") from None
    if not isinstance(results, dict) or not results.keys() >= {"machine", "rows", "limits", "verdicts", "build"}:
        raise Stop(f"--show {path}: no results of make bench", "make bench writes them anew")
    return results


def run(asked):
    if asked.show:
        return show(read_results(asked.show), asked.show.parent)
    workloads, precisions, threads = choose_rows(asked.rows)
    peers = choose_peers(asked.peers)
    if not (asked.build / "peer_row").exists():
        raise Stop(f"no peer_row in {asked.build}", "make bench-build")
    threads = [t for t in threads if t <= machine.usable_cores()]
    keys = measure.groups(workloads, precisions, threads)
    shapes = list(dict.fromkeys(WORKLOADS[w].shape for w in workloads))
    asked.models, asked.python = asked.models.resolve(), asked.python.absolute()
    prepare(asked, peers, shapes)
    setup = measure.Setup(asked.build.resolve(), asked.models, asked.python, asked.quiet_wait)
    measure.pack(setup, shapes, precisions)
    store = Store(asked.out / "rows.jsonl", setup.build, asked.fresh)
    for _ in range(PASSES):  # a later one measures again what was slowed down
        for key in keys:
            measure.measure_group(setup, key, peers, store)
    results = results_of(store, peers, keys)
    every = len(keys) == len(WORKLOADS) * len(PRECISIONS) * len(THREADS) and len(peers) == len(PEERS)
    folder = ROOT / "bench/results" if every else asked.out
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(results, indent=1)
    (folder / f"{results['machine']['name']}.json").write_text(text + "\n", encoding="utf-8")
    show(results, folder)
    if any("error" in row and row["engine"] == OURS for row in results["rows"]):
        raise Stop("a row of Fathom failed", "the table's last lines say which and why", 1)


def main():
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the row that runs ends with us
    try:
        run(parse(sys.argv[1:]))
    except Stop as stop:
        print(f"error: {stop}\n  next: {stop.hint}", file=sys.stderr)
        return stop.code
    except machine.Failed as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; the same command goes on", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
