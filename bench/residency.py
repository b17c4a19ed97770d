#!/usr/bin/env python3
"""Memory budgets side by side: residency_bench in fresh processes, budgets alternating, several repeats, medians.

    python3 bench/residency.py PROGRAM BUNDLE SCORES [--layers 12,8,7,6,2,1] [--repeats 3] [--told] [--forget] [--json FILE]

PROGRAM: build/release/bench/residency_bench. SCORES: what `PROGRAM --trace FITTED SCORES` wrote, of a fitted bundle of as
many layers. BUNDLE: of the paper's shape, `build/release/tests/fathom_random_bundle BUNDLE vit FITTED`. The engine decides
as it runs; --told gives it the trajectories beforehand. Budgets are given in layers. Standard library alone.
"""
import argparse
import json
import statistics
import subprocess


def run(asked, budget):
    words = [asked.program, asked.bundle, asked.scores] + (["--budget", str(budget)] if budget else [])
    words += (["--forget"] if asked.forget and budget else []) + (["--told"] if asked.told else [])
    return json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("program", "bundle", "scores"):
        parser.add_argument(name)
    parser.add_argument("--layers", default="12,8,7,6,2,1")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--told", action="store_true")
    parser.add_argument("--forget", action="store_true")
    parser.add_argument("--json")
    asked = parser.parse_args()
    first = run(asked, 0)  # also brings the file into the page cache
    held = [int(count) for count in asked.layers.split(",")]
    layer_mb = first["weights_mb"] / first["layers"]  # a little above a layer: it counts heads and embeddings as well
    rows = {count: [] for count in [0] + [count for count in held if count < first["layers"]]}
    for _ in range(asked.repeats):
        for count in rows:
            rows[count].append(run(asked, count * layer_mb))
    table = []
    for count, found in rows.items():
        middle = {key: statistics.median(row[key] for row in found) for key in ("mean_ms", "mean_cpu_ms", "p50_ms", "p99_ms", "mean_resident_mb", "peak_resident_mb")}
        middle |= {key: found[-1]["memory"][key] for key in ("hits", "read_ahead", "misses", "evictions")}
        middle["stall_ms"] = statistics.median(row["memory"]["stall_ms"] for row in found) / found[-1]["inputs"]
        table.append({"layers_held": count or "all", "told": asked.told, "forget": bool(asked.forget and count)} | middle)
    base = table[0]
    print(f"{first['inputs']} inputs, mean depth {first['mean_depth']:.2f} of {first['layers']}, {first['precision']}, "
          f"{'told beforehand' if asked.told else 'adaptive'}, {asked.repeats} repeats, medians")
    print(f"{'layers held':>11} {'ms, mean':>9} {'p99':>8} {'time':>8} {'ms of CPU':>10} {'time':>8} {'MB, mean':>9} {'memory':>8} {'MB, peak':>9} {'memory':>8} "
          f"{'hits':>6} {'ahead':>6} {'missed':>6} {'waited':>9}")
    for row in table:
        for key, of in (("time", "mean_ms"), ("cpu_time", "mean_cpu_ms"), ("memory", "mean_resident_mb"), ("peak", "peak_resident_mb")):
            row[key] = row[of] / base[of] - 1
        print(f"{row['layers_held']:>11} {row['mean_ms']:>9.2f} {row['p99_ms']:>8.1f} {100 * row['time']:>+7.1f}% {row['mean_cpu_ms']:>10.2f} {100 * row['cpu_time']:>+7.1f}% {row['mean_resident_mb']:>9.1f} "
              f"{100 * row['memory']:>+7.1f}% {row['peak_resident_mb']:>9.1f} {100 * row['peak']:>+7.1f}% {row['hits']:>6} {row['read_ahead']:>6} "
              f"{row['misses']:>6} {row['stall_ms']:>6.2f} ms")
    if asked.json:
        with open(asked.json, "w") as out:
            json.dump({"inputs": first["inputs"], "mean_depth": first["mean_depth"], "precision": first["precision"], "rows": table}, out, indent=1)


if __name__ == "__main__":
    main()
