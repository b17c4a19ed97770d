"""Results as one HTML page of bars: nothing loaded, no script, light and dark, made to be read on a phone too."""
from html import escape
from pathlib import Path
from statistics import geometric_mean

from harness import table
from harness.verdict import INT8_COSINE, MEMORY_FACTOR, MEMORY_MB, OF_LIMIT, RATIO
from harness.workloads import OURS, PRECISIONS, WORKLOADS, engine_name

STYLE = Path(__file__).with_name("style.css")
LONGEST = 4  # times the shortest bar
LAYOUT_WORDS = {"buckets": " sorted", "padded": "", "packed": ""}


def threads_words(count):
    return f"{count} thread" + ("s" if count > 1 else "")


def milliseconds(value):
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 1000 else f"{value:,.0f}"


def bar(row, precision, scale_ms, limit_ms):
    other = "" if row["precision"] == precision else " " + row["precision"]
    name = escape(engine_name(row["engine"]) + other + LAYOUT_WORDS[row["layout"]])
    if "error" in row:
        return f'<div class="bar"><span>{name}</span><span class="none" title="{escape(row["error"])}">not measured</span></div>'
    ours, width = row["engine"] == OURS, 100 * row["median_ms"] / scale_ms
    tick = f'<em style="left:calc({100 * limit_ms / scale_ms:.2f}% - 1px)" title="limit {milliseconds(limit_ms)} ms"></em>' if ours and limit_ms else ""
    over = ' class="over"' if width > 100 else ""
    return (f'<div class="bar{" us" if ours else ""}"><span>{name}</span><span class="track">'
            f'<i{over} style="width:{min(width, 100):.2f}%;background-color:var(--{escape(row["engine"])})"></i>{tick}</span>'
            f'<b>{milliseconds(row["median_ms"])} ms</b></div>')


def stand_ins(results, verdict):
    """The best peer's row where it is of another precision than its group."""
    if verdict is None or verdict["best_peer_precision"] in (None, verdict["precision"]):
        return []
    return [r for r in results["rows"] if r.get("median_ms") == verdict["best_peer_ms"] and r["engine"] == verdict["best_peer"] and
            (r["workload"], r["precision"], r["threads"]) == (verdict["workload"], verdict["best_peer_precision"], verdict["threads"])]


def group(rows, verdict, precision, threads):
    """The bars of one workload and precision at one number of threads, quickest peer first. A bar that would leave the others
    too short to read ends in a fade."""
    rows = sorted(rows, key=lambda r: (r["engine"] != OURS, r.get("median_ms", float("inf"))))
    times = [r["median_ms"] for r in rows if "median_ms" in r] or [1.0]
    scale_ms = min(max(times), LONGEST * min(times))
    said = []
    if verdict and verdict["ratio"]:
        said.append(f'{verdict["ratio"]:.2f} x')
    if verdict and verdict["of_limit"]:
        said.append(f'{100 * verdict["of_limit"]:.0f} % of limit')
    state = "" if verdict is None else "met" if verdict["time_met"] else "missed"
    head = f'<h4><span>{threads_words(threads)}</span><span class="{state}">{" · ".join(said)}</span></h4>'
    return head + "".join(bar(row, precision, scale_ms, verdict and verdict["limit_ms"]) for row in rows)


def figures(results, workload):
    verdicts = {(v["workload"], v["precision"], v["threads"]): v for v in results["verdicts"]}
    for precision in PRECISIONS:
        rows = [r for r in results["rows"] if (r["workload"], r["precision"]) == (workload, precision)]
        if rows:
            parts = []
            for threads in sorted({r["threads"] for r in rows}):
                verdict = verdicts.get((workload, precision, threads))
                shown = [r for r in rows if r["threads"] == threads] + stand_ins(results, verdict)
                parts.append(group(shown, verdict, precision, threads))
            yield f'<figure id="{workload}-{precision}"><h3>{precision}</h3>{"".join(parts)}</figure>'


def tiles(verdicts):
    ratios = [v["ratio"] for v in verdicts if v["ratio"]]
    shares = [v["of_limit"] for v in verdicts if v["of_limit"]]
    yield f"{geometric_mean(ratios):.2f} x" if ratios else "-", "the best peer's time over Fathom's, geometric mean"
    yield f'{sum(v["time_met"] for v in verdicts)} of {len(verdicts)}', "rows that meet the target of time"
    yield f'{sum(v["memory_met"] for v in verdicts)} of {len(verdicts)}', "rows that meet the target of memory"
    yield f"{100 * geometric_mean(shares):.0f} %" if shares else "-", "of this machine's own limit, geometric mean"


def full_table(results):
    heads = ("row", "Fathom ms", "best peer ms", "ratio", "of limit", "time", "peak MB", "least peer MB", "memory", "cosine", "load ms")
    loads = {(r["workload"], r["precision"], r["threads"]): r["load_ms"] for r in results["rows"] if r["engine"] == OURS and "load_ms" in r}
    yield "<tr>" + "".join(f"<th>{h}</th>" for h in heads) + "</tr>"
    for v in results["verdicts"]:
        _, _, _, ours, peer, ratio, share, time, peak, least, memory, cosine = map(escape, table.cells(v))
        cells = [f'{v["workload"]} {v["precision"]} <small>{v["threads"]} thr</small>', ours, peer, ratio, share, f'<span class="{time}">{time}</span>',
                 peak, least, f'<span class="{memory}">{memory}</span>', f'<span class="{"met" if v["cosine_met"] else "missed"}">{cosine}</span>',
                 f'{loads[v["workload"], v["precision"], v["threads"]]:.1f}']
        yield "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def remarks(results):
    for v in results["verdicts"]:
        if v["note"]:
            yield f'{v["workload"]} {v["precision"]}, {threads_words(v["threads"])}: {v["note"]}'
    for row in results["rows"]:
        if "error" in row:
            yield f'{row["workload"]} {row["precision"]}, {threads_words(row["threads"])}, {engine_name(row["engine"])}: {row["error"]}'


def aims():
    ratios = ", ".join(f"{precision} {ratio}" for precision, ratio in RATIO.items())
    return (f"Targets. Time: the best peer at equal precision takes so many times longer ({ratios}), or Fathom reaches {100 * OF_LIMIT:.0f} % of the machine's "
            f"own limit: the longer of useful operations at the instructions' peak and reading the weights once, both measured beside the rows. Memory: peak at "
            f"most {MEMORY_FACTOR} times the weights that ran + {MEMORY_MB} MB, and below every peer. Cosine with float32: {INT8_COSINE} in int8. "
            "A dark line in Fathom's bar marks the limit. Each row ran in a process of its own; times are medians.")


def render(results):
    about = results["machine"]
    versions = ", ".join(f"{engine_name(engine)} {version}" for engine, version in about["versions"].items())
    facts = f'{about["cpu"]}, {about["cores"]} cores, tier {about["tier"]}, last-level cache {about["cache_mb"]:.0f} MB; {versions or "no peers"}; {about["measured"]}'
    charts = []
    for workload in dict.fromkeys(r["workload"] for r in results["rows"]):
        charts.append(f'<h2>{escape(table.title(workload))}</h2><div class="figures">{"".join(figures(results, workload))}</div>')
    boxes = "".join(f'<div class="tile"><b>{value}</b><span>{what}</span></div>' for value, what in tiles(results["verdicts"]))
    notes = "".join(f"<li>{escape(text)}</li>" for text in remarks(results))
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>Fathom beside its peers: {escape(about["name"])}</title><style>{STYLE.read_text(encoding="utf-8")}</style></head>
<body><main><h1>Fathom beside its peers</h1><p class="soft">{escape(facts)}</p>
<div class="tiles">{boxes}</div><p class="soft">{escape(aims())}</p>
{"".join(charts)}
<h2>Every row</h2><div class="scroll"><table>{"".join(full_table(results))}</table></div>
{"<h2>To know</h2><ul class='soft'>" + notes + "</ul>" if notes else ""}
<footer>Written by make bench; Fathom build {escape(results["build"])}.</footer></main></body></html>
"""
