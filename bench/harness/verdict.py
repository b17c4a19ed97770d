"""What measured rows say: ratio to the best peer, share of the machine's limit, and which targets are met.

A group is one workload, precision and number of threads. Its limit is the longer of its useful operations at the peak speed
of its instructions and reading its weights once, measured beside it; weights that fit into the last-level cache are not read.
"""
from harness.machine import NOISY
from harness.store import is_disturbed
from harness.workloads import OURS, WORKLOADS

RATIO = {"fp32": 1.15, "bf16": 1.3, "int8": 1.3}
OF_LIMIT = 0.8
MEMORY_FACTOR, MEMORY_MB = 1.15, 20
INT8_COSINE = 0.999


def limit_ms(workload, precision, limits):
    """None without limits of a quiet moment: a slow peak would flatter, as would one of an architecture that bench/limits does
    not know. The best of the samples counts: neighbours only ever slow one down, and each is a median already."""
    limits = [row for row in limits if row["foreign_cpu"] <= NOISY]
    if not limits:
        return None
    load = WORKLOADS[workload]
    compute = 2 * load.macs() / (max(row["gops"] for row in limits) * 1e6)
    size = load.weight_bytes(precision)
    if size <= limits[0]["cache_bytes"]:
        return compute
    return max(compute, size / (max(row["read_gbs"] for row in limits) * 1e6))


def notes_of(ours, best):
    notes = []
    if best and best["precision"] != ours["precision"]:
        notes.append(f"no peer is quicker in {ours['precision']} than this one in {best['precision']}, which counts")
    elif best and best["computes"] != best["precision"]:
        notes.append(f"the peer says that it computes in {best['computes']}")
    if best and best["layout"] == "buckets":
        notes.append("the peer's time is that of sorted buckets")
    if is_noisy(ours, best):
        notes.append("others slowed the machine meanwhile")
    return "; ".join(notes)


def is_noisy(*rows):
    return any(row and is_disturbed(row) for row in rows)


def quickest(rows):
    return min(rows, key=lambda row: row["median_ms"], default=None)


def judge(key, rows, limits, finer=()):
    """`key`: workload, precision, threads; `rows`: its rows that were measured, ours among them; `finer`: peers' rows of a finer
    precision, which whoever wants this one may run as well: without instructions for bf16 they are the quicker ones."""
    workload, precision, threads = key
    ours = next(row for row in rows if row["engine"] == OURS)
    peers = [row for row in rows if row["engine"] != OURS]
    best = quickest(peers + list(finer))
    smallest = min(peers, key=lambda row: row["peak_mb"], default=None)
    limit = limit_ms(workload, precision, limits)
    ratio = best and best["median_ms"] / ours["median_ms"]
    of_limit = limit and limit / ours["median_ms"]
    fast = (ratio is not None and ratio >= RATIO[precision]) or (of_limit is not None and of_limit >= OF_LIMIT)
    small = ours["peak_mb"] <= MEMORY_FACTOR * ours["model_mb"] + MEMORY_MB and (smallest is None or ours["peak_mb"] < smallest["peak_mb"])
    return {"workload": workload, "precision": precision, "threads": threads, "ms": ours["median_ms"], "best_peer": best and best["engine"],
            "best_peer_precision": best and best["precision"], "best_peer_ms": best and best["median_ms"], "ratio": ratio, "limit_ms": limit,
            "of_limit": of_limit, "peak_mb": ours["peak_mb"], "smallest_peer": smallest and smallest["engine"],
            "smallest_peer_mb": smallest and smallest["peak_mb"], "weights_mb": ours["model_mb"], "cosine": ours["cosine"], "time_met": fast,
            "memory_met": small, "cosine_met": precision != "int8" or ours["cosine"] >= INT8_COSINE, "noisy": is_noisy(ours, best), "note": notes_of(ours, best)}


def judge_all(rows, limits):
    """Verdicts in the order of the rows; a group without a row of ours has none."""
    def of(key, records):
        return [r for r in records if (r["workload"], r["precision"], r["threads"]) == key]

    measured = [row for row in rows if "median_ms" in row]
    keys = dict.fromkeys((r["workload"], r["precision"], r["threads"]) for r in measured if r["engine"] == OURS)
    verdicts = []
    for workload, precision, threads in keys:
        key = workload, precision, threads
        finer = [r for r in of((workload, "fp32", threads), measured) if r["engine"] != OURS] if precision == "bf16" else []
        verdicts.append(judge(key, of(key, measured), of(key, limits), finer))
    return verdicts
