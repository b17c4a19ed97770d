#!/usr/bin/env python3
"""Every method of `fathom compress` alone and the best pipelines, on fitted bundles: the tables of docs/results.md.

    python3 bench/compression.py BUNDLE... [--out runs/compression] [--methods int8,compact] [--timing-seconds 8] [--threads 1]

Of each bundle and method: compress, then eval against the bundle itself in fp32 at full depth on its test split, through the engine. A row that is
there is not measured again (delete OUT/BUNDLE/METHOD.json to have it anew). Prints the tables, in Markdown, of what is there.
"""
import argparse
import json
import subprocess
import sys
from pathlib import Path

FATHOM = Path(__file__).resolve().parents[1] / "build/release/fathom"
METHODS = {
    "bf16": "--precision bf16",
    "int8": "--precision int8",
    "neurons": "--prune ffn=50%",
    "heads": "--prune heads=25%",
    "fold95": "--fold 95%",
    "fold98": "--fold 98%",
    "svd90": "--fold 90%,weights",
    "zeros": "--prune weights=50%",
    "two-of-four": "--prune weights=2:4",
    "words": "--word-width 50%",
    "compact": "--preset compact",
    "no-words": "--prune ffn=50% --precision int8",
    "no-prune": "--word-width 50% --precision int8",
    "no-int8": "--word-width 50% --prune ffn=50%",
    "compact-heads": "--preset compact --prune heads=25%,ffn=50%",
    "compact-fold": "--preset compact --fold 98%",
    "compact-tuned": "--preset compact --tune 2",
    "fold95-tuned": "--fold 95% --tune 2",
    "two-of-four-tuned": "--prune weights=2:4 --tune 2",
    "zeros-tuned": "--prune weights=50% --tune 2",
    "zeros-gradual": "--prune weights=50%,gradual --tune 2",
    "zeros-movement": "--prune weights=50%,movement --tune 2",
    "two-of-four-gradual": "--prune weights=2:4,gradual --tune 2",
    "int8-tuned": "--precision int8 --tune 1",
    "all-tuned": "--preset compact --fold 95% --tune 3",
}


def run(command, log):
    with open(log, "w") as file:
        done = subprocess.run([str(word) for word in command], stdout=file, stderr=subprocess.STDOUT)
    if done.returncode != 0:
        print(f"compression: {log}: {Path(log).read_text()[-400:]}", file=sys.stderr)
    return done.returncode == 0


def measure(bundle, method, folder, asked):
    made, table = folder / method, folder / f"{method}.json"
    if table.exists():
        return
    print(f"compression: {folder.name} {METHODS[method]}", file=sys.stderr, flush=True)
    if run([FATHOM, "compress", bundle, *METHODS[method].split(), "-o", made, "--timing-seconds", 1], folder / f"{method}.compress.txt"):
        run([FATHOM, "eval", made, "--base", bundle, "-o", table, "--timing-seconds", asked.timing_seconds, "--threads", asked.threads], folder / f"{method}.eval.txt")


def files_mb(bundle):
    return sum(entry["bytes"] for entry in json.loads((bundle / "fathom.json").read_text())["files"].values()) / 1e6


def cells(row, files):
    points = row.get("difference")
    interval = row.get("interval")
    told = "" if points is None or row["name"] == "base" else f"{100 * points:+.2f} [{100 * interval[0]:.2f}, {100 * interval[1]:.2f}]"
    return f"{100 * row['value']:.2f} % | {told} | {row['macs'] / 1e6:.1f} M | {row['ms_batch1']:.2f} | {row['ms_batch32']:.2f} | {row['peak_mb']:.1f} | {files}"


def print_table(bundle, folder, methods):
    print(f"\n{folder.name}\n\n| FLAGS | depth | accuracy | points [95 %] | MACs | ms, batch 1 | ms, batch 32 | peak MB | files, MB |\n|---|---|---|---|---|---|---|---|---|")
    first = True
    for method in methods:
        if not (folder / f"{method}.json").exists():
            continue
        rows = {row["name"]: row for row in json.loads((folder / f"{method}.json").read_text())["systems"]}
        if first:
            print(f"| (the bundle itself) | full | {cells(rows['base'], f'{files_mb(bundle):.1f}')} |")
        first = False
        print(f"| `{METHODS[method]}` | full | {cells(rows['full_depth'], f'{files_mb(folder / method):.1f}')} |")
        print(f"| | fathom | {cells(rows['fathom'], '')} |")


def main():
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("bundles", type=Path, nargs="+")
    flags.add_argument("--out", type=Path, default=Path("runs/compression"))
    flags.add_argument("--methods", default=",".join(METHODS))
    flags.add_argument("--timing-seconds", type=float, default=8)
    flags.add_argument("--threads", type=int, default=1)
    asked = flags.parse_args()
    methods = asked.methods.split(",")
    if wrong := [name for name in methods if name not in METHODS]:
        sys.exit(f"compression: --methods: {', '.join(wrong)}? known: {', '.join(METHODS)}")
    for bundle in asked.bundles:
        folder = asked.out / "-".join(bundle.parts[-2:])
        folder.mkdir(parents=True, exist_ok=True)
        for method in methods:
            measure(bundle, method, folder, asked)
        print_table(bundle, folder, methods)


if __name__ == "__main__":
    main()
