#!/usr/bin/env python3
"""Fine-tuned checkpoints made adaptive: the tables of docs/results.md, every seed from splits to certificates.

    python3 bench/checkpoints.py --encoder MINILM --data ../shared/data --out runs/checkpoints [--sets sst2] [--seeds 1] [--systems frozen]

A seed: SET-SEED/data (train, tune, calibrate, test; no threshold is chosen on rows a model learned), then bundles
  plain    the encoder fine-tuned (its full depth is `base`)     frozen   plain made adaptive, labels not looked at
  trunk    the encoder trained together with exits, adaptive     student  layers 0, 2, 4 of plain, taught by plain
each with eval.json and, for frozen and trunk, a certificate (consistency, alpha 0.05) and what it costs on the test rows.
The set cifar10 starts from a Vision Transformer of random weights (bench/random_vit.py): no trained one comes with the data.
Steps that are done are not done again. The last lines are the tables, means over the seeds.
"""
import argparse
import csv
import json
import math
import os
import random
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

# rows of train, tune and calibrate; word pieces; delta of the certificate, fixed before any calibration row was seen
SETS = {"ag_news": (7600, 2000, 2000, 48, 0.005), "sst2": (5200, 1000, 720, 24, 0.01), "cifar10": (9000, 1500, 1500, 0, 0.01)}
VIT = ["--layers", 6, "--hidden", 128, "--heads", 4, "--image", 32, "--patch", 4, "--encoder"]
FROM_RANDOM = ["--epochs", 12, "--lr", 1e-3, "--batch-size", 64]  # of plain and trunk where nothing is pretrained
FATHOM = Path(__file__).resolve().parents[1] / "build/release/fathom"
STUDENT_T = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776}  # 95 %, by number of seeds


def read(folder):
    """Rows (text, label name) of the training and the test file."""
    if folder.name == "ag_news":
        names = [line.strip() for line in open(folder / "classes.txt") if line.strip()]
        parts = [list(csv.reader(open(folder / name, newline=""))) for name in ("train.csv", "test.csv")]
        return [[(" ".join(row[1:]), names[int(row[0]) - 1]) for row in rows] for rows in parts]
    parts = [[line.rstrip("\n").rsplit("\t", 1) for line in open(folder / name)] for name in ("train.tsv", "dev.tsv")]
    return [[(text, ("negative", "positive")[int(label)]) for text, label in rows] for rows in parts]


def split(source, out, seed):
    train, test = read(source)
    rows, tune, calibrate, *_ = SETS[source.name]
    random.Random(seed).shuffle(train)
    out.mkdir(parents=True, exist_ok=True)
    parts = {"train": train[:rows], "tune": train[rows:rows + tune], "calibrate": train[rows + tune:rows + tune + calibrate], "test": test}
    for part, lines in parts.items():
        with open(out / f"{part}.csv", "w", newline="") as file:
            csv.writer(file, quoting=csv.QUOTE_ALL).writerows([("text", "label"), *lines])


def prepare(asked, name, seed, home):
    if name != "cifar10":
        return split(asked.data / name, home / "data", seed)
    home.mkdir(parents=True, exist_ok=True)
    maker = Path(__file__).resolve().parent / "random_vit.py"
    subprocess.run([sys.executable, maker, home / "start", *map(str, VIT), "--seed", str(seed)], check=True)
    (home / "data").symlink_to((asked.data / name).resolve())  # fathom carves tune and calibrate itself, by the seed


def fathom(*arguments, log):
    with open(log, "ab") as file:
        done = subprocess.run([str(FATHOM), *map(str, arguments)], stdout=subprocess.PIPE, stderr=file)
    if done.returncode != 0:
        sys.exit(f"fathom {' '.join(map(str, arguments))}: exit code {done.returncode}, see {log}")
    return done.stdout


def once(path, make):
    """make() unless `path` is there; it leaves `path` when it is through."""
    if not path.exists():
        make()
    return path


def fit(asked, name, seed, system):
    home = asked.out / f"{name}-{seed}"
    pictures = name == "cifar10"
    start = home / "start" if pictures else asked.encoder
    source = {"plain": start, "trunk": start}.get(system, home / "plain")
    more = {"trunk": ["--trunk"], "frozen": ["--no-labels"], "student": ["--keep-layers", "0,2,4"]}.get(system, [])
    if pictures:
        more += ["--task", "image-classification"] + (FROM_RANDOM if source == start else [])
    else:
        more += ["--task", "text-classification", "--max-tokens", SETS[name][3]]
    done = home / f"{system}.fitted"
    if done.exists():
        return
    fathom("fit", "--from", source, "--data", home / "data", "--seed", seed, "-o", home / system, *more, *(["--threads", asked.threads] if asked.threads else []), log=home / f"{system}.log")
    done.touch()


def evaluate(asked, name, seed, system):
    home = asked.out / f"{name}-{seed}"
    out = home / f"{system}.eval.json"
    rivals = ["--rival", f"student={home / 'student'}"] if (home / "student.fitted").exists() else []
    times = ["--no-times", "--no-memory"] if asked.no_times else []
    once(out, lambda: fathom("eval", home / system, "--base", home / "plain", *rivals, *times, "-o", out, log=home / f"{system}.log"))


def certify(asked, name, seed, system):
    """Works on a copy: the certificate sets the threshold, and eval.json above is that of the fitted one."""
    home = asked.out / f"{name}-{seed}"
    copy, log = home / f"{system}-certified", home / f"{system}.log"

    def make():
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(home / system, copy, ignore=shutil.ignore_patterns("fit"))
        certificate = json.loads(fathom("certify", copy, "--delta", SETS[name][4], "--json", log=log))
        fathom("eval", copy, "--base", home / "plain", "--no-times", "--no-memory", "-o", copy / "eval.json", log=log)
        (home / f"{system}.certificate.json").write_text(json.dumps(certificate, indent=1))

    once(home / f"{system}.certificate.json", make)


def interval(values):
    mean = statistics.mean(values)
    if len(values) < 2:
        return f"{mean:.2f}"
    half = STUDENT_T.get(len(values), 1.96) * statistics.stdev(values) / math.sqrt(len(values))
    return f"{mean:.2f} [{mean - half:.2f}, {mean + half:.2f}]"


def table(asked, name, system):
    reports = [json.loads((asked.out / f"{name}-{seed}" / f"{system}.eval.json").read_text()) for seed in asked.seeds]
    print(f"\n### {name}, {system}: {len(reports)} seeds, {reports[0]['n_test']:,} test inputs each; mean [95 % over the seeds]\n")
    print("| system | accuracy % | points against base | MACs saved % | ms saved %, batch 1 | batch 32 | mean depth |\n|---|---|---|---|---|---|---|")
    for row in [s["name"] for s in reports[0]["systems"]]:
        all_seeds = [({s["name"]: s for s in r["systems"]}) for r in reports]
        mine = [(s[row], s["base"]) for s in all_seeds if row in s]

        def saved(key):
            return interval([100 * (1 - s[key] / b[key]) for s, b in mine]) if all(s.get(key) and b.get(key) for s, b in mine) else "-"

        print(f"| {row} | {interval([100 * s['value'] for s, _ in mine])} | {interval([100 * (s['value'] - b['value']) for s, b in mine])} "
              f"| {saved('macs')} | {saved('ms_batch1')} | {saved('ms_batch32')} | {interval([s['mean_depth'] for s, _ in mine])} |")
    print("\n| seed | certificate | losses of n on calibrate | MACs saved there | on test | points against base |\n|---|---|---|---|---|---|")
    for seed in asked.seeds:
        home = asked.out / f"{name}-{seed}"
        c = json.loads((home / f"{system}.certificate.json").read_text())
        rows = {s["name"]: s for s in json.loads((home / f"{system}-certified" / "eval.json").read_text())["systems"]}
        ours, base = rows["fathom"], rows["base"]
        what = f"{c['loss']}, delta {c['delta']}, alpha {c['alpha']}" if c["certified"] else "none: full depth"
        print(f"| {seed} | {what} | {c.get('losses', '-')} of {c['n']} | {100 * c.get('macs_saved', 0):.1f} % "
              f"| {100 * (1 - ours['macs'] / base['macs']):.1f} % | {100 * (ours['value'] - base['value']):+.2f} |")


def main():
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--encoder", type=Path, required=True, help="folder of a pretrained BERT-like encoder, e.g. MiniLM-L6")
    flags.add_argument("--data", type=Path, required=True, help="folder that holds ag_news and sst2")
    flags.add_argument("--out", type=Path, required=True)
    flags.add_argument("--sets", default="ag_news,sst2", type=lambda text: text.split(","))
    flags.add_argument("--seeds", default=[1, 2, 3], type=lambda text: [int(s) for s in text.split(",")])
    flags.add_argument("--systems", default=["student", "frozen", "trunk"], type=lambda text: text.split(","), help="student, frozen, trunk")
    flags.add_argument("--threads", type=int, default=0, help="of the fits; 0: every core")
    flags.add_argument("--no-times", action="store_true")
    flags.add_argument("--fit-only", action="store_true", help="stop before eval: it wants a quiet machine")
    asked = flags.parse_args()
    os.nice(1)
    for seed in asked.seeds:
        for name in asked.sets:
            home = asked.out / f"{name}-{seed}"
            once(home / "data", lambda: prepare(asked, name, seed, home))
            for system in ["plain", *asked.systems]:
                fit(asked, name, seed, system)
    if asked.fit_only:
        return
    for name in asked.sets:
        for system in asked.systems:
            if system == "student":
                continue
            for seed in asked.seeds:
                evaluate(asked, name, seed, system)
                certify(asked, name, seed, system)
            table(asked, name, system)


if __name__ == "__main__":
    main()
