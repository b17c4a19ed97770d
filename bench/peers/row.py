"""The process of one peer's row: loads, runs, times, writes what it computed. Prints one JSON object, as peer_row does.

    python3 -m peers.row ENGINE --models FOLDER --workload W --layout padded|buckets --precision P --threads N --output FILE

Timed as Fathom is: warm-up of 0.3 s, then at least 20 runs (5 if one takes more than 0.4 s) and 1 s. A run of `buckets` is
all of its batches. Output: float32 [batch, tokens, hidden], whatever where the input was padding.
"""
import argparse
import json
import statistics
import time
from pathlib import Path

import numpy
from safetensors import safe_open

from harness.workloads import BUCKETS, WORKLOADS
from peers import engines

SLOW_MS, SLOW_RUNS, RUNS, MOST_RUNS = 400, 5, 20, 400
ENOUGH_MS, FEWEST_RUNS = 20_000, 2  # of what is slower than any answer is worth, such as emulated numbers


def read_inputs(path):
    """In the order of the encoder's arguments, without the reference answer: its bytes are not this engine's."""
    with safe_open(path, "numpy") as file:
        return {n: file.get_tensor(n) for n in ("pixel_values", "input_ids", "attention_mask", "token_type_ids") if n in file.keys()}


def cut(inputs, layout):
    """The batches of one run, each with the rows it takes."""
    if layout == "padded":
        return [(inputs, slice(None))]
    lengths = inputs["attention_mask"].sum(1)
    order = numpy.argsort(lengths, kind="stable")
    parts = []
    for rows in numpy.array_split(order, BUCKETS):
        parts.append(({n: numpy.ascontiguousarray(a[rows, :lengths[rows].max()]) for n, a in inputs.items()}, rows))
    return parts


def timed(once):
    """Milliseconds of each timed run."""
    def ms():
        start = time.perf_counter()
        once()
        return 1e3 * (time.perf_counter() - start)

    begin, warm = time.perf_counter(), [ms()]
    while warm[-1] <= SLOW_MS and (len(warm) < 3 or time.perf_counter() - begin < 0.3):
        warm.append(ms())
    times, wanted = [], RUNS if warm[-1] < SLOW_MS else SLOW_RUNS
    while len(times) < wanted or (sum(times) < 1000 and len(times) < MOST_RUNS):
        times.append(ms())
        if sum(times) > ENOUGH_MS and len(times) >= FEWEST_RUNS:
            break
    return times


def gather(batches, answers):
    """The answers of all batches as one array, in the order of the inputs."""
    rows = [r for _, r in batches]
    if rows == [slice(None)]:
        return answers[0]
    whole = numpy.zeros((sum(map(len, rows)), max(a.shape[1] for a in answers), answers[0].shape[2]), "float32")
    for index, answer in zip(rows, answers):
        whole[index, :answer.shape[1]] = answer
    return whole


def main():
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("engine", choices=engines.MODULES)
    for name, kind in (("models", Path), ("workload", str), ("layout", str), ("precision", str), ("threads", int), ("output", Path)):
        flags.add_argument(f"--{name}", type=kind, required=True)
    asked = flags.parse_args()
    shape = WORKLOADS[asked.workload].shape
    batches = cut(read_inputs(asked.models / f"{asked.workload}.safetensors"), asked.layout)
    engine = engines.module(asked.engine)
    fixed = batches[0][0] if len(batches) == 1 else None
    start = time.perf_counter()  # importing the engine is not loading the model
    run, computes = engine.load(asked.models, shape, asked.precision, asked.threads, fixed)
    load_ms = 1e3 * (time.perf_counter() - start)
    answers = []

    def once():
        answers[:] = [run(inputs) for inputs, _ in batches]

    times = timed(once)
    numpy.ascontiguousarray(gather(batches, answers), "float32").tofile(asked.output)
    size = sum(path.stat().st_size for path in engine.files(asked.models, shape, asked.precision))
    print(json.dumps({"version": engine.VERSION, "computes": computes, "median_ms": statistics.median(times), "min_ms": min(times),
                      "mean_ms": statistics.fmean(times), "runs": len(times), "load_ms": load_ms, "model_mb": size / 1e6}))


if __name__ == "__main__":
    main()
