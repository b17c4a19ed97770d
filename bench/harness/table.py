"""Verdicts as text."""
from harness.workloads import WORKLOADS, engine_name

HEAD = ("workload", "precision", "thr", "Fathom ms", "best peer ms", "ratio", "of limit", "time", "MB", "least peer MB", "memory", "cosine")


def number(value, form, unit=""):
    return "-" if value is None else format(value, form) + unit


def with_name(value, engine, precision=""):
    return "-" if value is None else f"{value} {engine_name(engine)} {precision}".rstrip()


def best_peer(verdict):
    other = verdict["best_peer_precision"] if verdict["best_peer_precision"] != verdict["precision"] else ""
    return with_name(verdict["best_peer_ms"] and number(verdict["best_peer_ms"], ".2f"), verdict["best_peer"], other)


def met(yes):
    return "met" if yes else "missed"


def cells(verdict):
    return (verdict["workload"], verdict["precision"], str(verdict["threads"]), number(verdict["ms"], ".2f"),
            best_peer(verdict), number(verdict["ratio"], ".2f"),
            number(verdict["of_limit"] and 100 * verdict["of_limit"], ".0f", " %"), met(verdict["time_met"]), number(verdict["peak_mb"], ".0f"),
            with_name(verdict["smallest_peer_mb"] and number(verdict["smallest_peer_mb"], ".0f"), verdict["smallest_peer"]), met(verdict["memory_met"]), number(verdict["cosine"], ".5f"))


def summary(verdicts):
    n = len(verdicts)
    counts = [sum(v[name] for v in verdicts) for name in ("time_met", "memory_met", "cosine_met")]
    noisy = sum(v["noisy"] for v in verdicts)
    more = f" {noisy} rows were measured while others slowed the machine: run again to replace them." if noisy else ""
    return f"Targets met, of {n} rows: time {counts[0]}, memory {counts[1]}, cosine {counts[2]}.{more}"


def lines(verdicts, failed):
    """The table, then what there is to say about rows, then the rows that could not be measured."""
    rows = [HEAD, *(cells(v) for v in verdicts)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEAD))]
    yield from ("  ".join(text.ljust(width) for text, width in zip(row, widths)).rstrip() for row in rows)
    yield ""
    yield summary(verdicts)
    for v in verdicts:
        if v["note"]:
            yield f"{v['workload']} {v['precision']} {v['threads']}: {v['note']}"
    for row in failed:
        yield f"{row['workload']} {row['precision']} {row['threads']} {engine_name(row['engine'])} {row['layout']}: not measured: {row['error']}"


def title(workload):
    return f"{workload}: {WORKLOADS[workload].what}"
