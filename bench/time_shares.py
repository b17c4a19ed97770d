#!/usr/bin/env python3
"""Where the time of a row goes: perf's samples of peer_row, summed by kind of work. Needs Debian's linux-perf and models of make bench.

    python3 bench/time_shares.py [--program build/release/bench/peer_row] [--models runs/bench/models] [--rows "W1 fp32 1,W2 int8 1"] [--json FILE]

Shares are of the samples inside the timed process, loading left in: it is below 1 %.
"""
import argparse
import json
import re
import subprocess
import tempfile
from pathlib import Path

SHAPES = {"W1": "bert", "W2": "bert", "W4": "bert", "W5": "vit", "W5x8": "vit", "W6": "mini", "W6x32": "mini"}
KINDS = [("GEMM tiles", r"\btile<|strip<|gemm_tiles"), ("GEMM edges", r"gemm_blocks|gemm_block<|finish"), ("attention", r"attention|scores_tile|values_tile"),
         ("norm", r"layernorm"), ("quantize", r"quantize"), ("embed", r"\bembed"), ("waiting for threads", r"ThreadPool|futex|pause"),
         ("system", r"\[k\]"), ("other", r"")]


def profile(program, models, row):
    workload, precision, threads = row.split()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "perf.data"
        words = [program, "--model", models / f"{SHAPES[workload]}.safetensors", "--inputs", models / f"{workload}.safetensors", "--output", Path(folder) / "out",
                 "--workload", workload, "--precision", precision, "--threads", threads]
        run = subprocess.run(["perf", "record", "-q", "-e", "cpu-clock", "-F", "1000", "-o", data, *map(str, words)], check=True, capture_output=True, text=True)
        shown = subprocess.run(["perf", "report", "-i", data, "--stdio", "--no-children", "-F", "overhead,sym", "--percent-limit", "0"], capture_output=True, text=True).stdout
    shares = dict.fromkeys((name for name, _ in KINDS), 0.0)
    for line in shown.splitlines():
        found = re.match(r"\s*([\d.]+)%\s+(.*)", line)
        if found:
            shares[next(name for name, pattern in KINDS if re.search(pattern, found[2]))] += float(found[1])
    return json.loads(run.stdout)["median_ms"], shares


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default="build/release/bench/peer_row")
    parser.add_argument("--models", type=Path, default=Path("runs/bench/models"))
    parser.add_argument("--rows", default=",".join(f"{w} {p} {t}" for w in SHAPES for p in ("fp32", "int8") for t in (1, 2)))
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    names = [name for name, _ in KINDS]
    print(f"{'row':14} {'ms':>8}  " + "  ".join(f"{name:>10}" for name in names))
    rows = {}
    for row in asked.rows.split(","):
        ms, shares = profile(asked.program, asked.models, row)
        rows[row] = {"median_ms": ms, "share": shares}
        print(f"{row:14} {ms:8.2f}  " + "  ".join(f"{shares[name]:>{max(10, len(name))}.1f}" for name in names), flush=True)
    if asked.json:
        asked.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
