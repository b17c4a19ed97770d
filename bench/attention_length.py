#!/usr/bin/env python3
"""Time against length for each kind of attention, and accuracy on long texts, as one SVG.

    build/release/bench/length_bench > lengths.json
    python3 bench/attention_length.py lengths.json [--accuracy accuracy.json] --out bench/results/NAME     (writes NAME.json and NAME.svg)
    python3 bench/attention_length.py --show bench/results/NAME.json                                         (the SVG anew)

accuracy.json: {"task": words, "chance": share, "rows": [{"kind", "name", "accuracy", "low", "high"}, ..]}; kind softmax, window, linear or
control; low and high: a 95 % interval. Standard library alone.
"""
import argparse
import json
import math
from html import escape
from pathlib import Path

KINDS = {"softmax": "softmax, full", "window": "softmax, window {window}", "linear": "linear"}
STYLE = """
.ground{fill:#fbfaf7}.panel{fill:#fff;stroke:#e3e0d8}.grid{stroke:#e3e0d8}.axis{stroke:#5c666d}
text{font:13px system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;fill:#5c666d;paint-order:stroke;stroke:#fff;stroke-width:4px;stroke-linejoin:round}
.foot{stroke:none}
.title{font-size:15px;font-weight:650;fill:#1d2327}.value{fill:#1d2327;font-weight:600}
.softmax{--c:#0067a8}.window{--c:#00795a}.linear{--c:#c24a00}.control{--c:#7a7f84}
.line{fill:none;stroke:var(--c);stroke-width:2.4}.dot{fill:var(--c)}.name{fill:var(--c);font-weight:600}
@media (prefers-color-scheme:dark){.ground{fill:#14181b}.panel{fill:#1b2024;stroke:#2f363b}.grid{stroke:#2f363b}.axis{stroke:#9aa4ab}
text{fill:#9aa4ab;stroke:#1b2024}.title,.value{fill:#e7e5df}.softmax{--c:#5cb8f0}.window{--c:#3cc79a}.linear{--c:#ff8a4c}.control{--c:#9aa0a6}}
"""
PANEL_W, PANEL_H, GAP, TOP = 400, 380, 16, 16
LEFT, RIGHT, HEAD, FOOT = 68, 24, 58, 46  # inside a panel


def milliseconds(value):
    return f"{value:.2g}" if value < 1 else f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def text(x, y, words, anchor="start", kind=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{f" class={chr(34)}{kind}{chr(34)}" if kind else ""}>{escape(words)}</text>'


def frame(x, title, subtitle):
    return [f'<rect class="panel" x="{x}" y="{TOP}" width="{PANEL_W}" height="{PANEL_H}" rx="10"/>',
            text(x + 16, TOP + 26, title, kind="title"), text(x + 16, TOP + 45, subtitle)]


def time_panel(x, shape, words):
    """Both axes logarithmic: a slope of 1 is a cost that grows with the length, of 2 with its square."""
    out = frame(x, words, "ms a text against its tokens, both axes logarithmic")
    rows = shape["kinds"]
    lengths = [row["tokens"] for row in rows["softmax"]]
    values = [row["ms"] for kind in rows.values() for row in kind]
    low, high = 10 ** math.floor(math.log10(min(values))), 10 ** math.ceil(math.log10(max(values) * 1.02))
    x0, x1, y0, y1 = x + LEFT, x + PANEL_W - RIGHT, TOP + PANEL_H - FOOT, TOP + HEAD + 14

    def at(tokens, ms):
        right = (math.log2(tokens) - math.log2(lengths[0])) / (math.log2(lengths[-1]) - math.log2(lengths[0]))
        up = (math.log10(ms) - math.log10(low)) / (math.log10(high) - math.log10(low))
        return x0 + right * (x1 - x0 - 8) + 4, y0 + up * (y1 - y0)

    tick = low
    while tick <= high * 1.001:
        y = at(lengths[0], tick)[1]
        out += [f'<line class="grid" x1="{x0}" x2="{x1}" y1="{y:.1f}" y2="{y:.1f}"/>', text(x0 - 8, y + 4, f"{tick:,.0f}" if tick >= 1 else f"{tick:g}", "end")]
        tick *= 10
    out += [text(at(n, low)[0], y0 + 20, f"{n:,}", "middle") for n in lengths] + [f'<line class="axis" x1="{x0}" x2="{x1}" y1="{y0}" y2="{y0}"/>']
    ends = []
    for kind, name in KINDS.items():
        points = [at(row["tokens"], row["ms"]) for row in rows[kind]]
        out.append(f'<g class="{kind}"><path class="line" d="M' + "L".join(f"{px:.1f} {py:.1f}" for px, py in points) + '"/>' +
                   "".join(f'<circle class="dot" cx="{px:.1f}" cy="{py:.1f}" r="3.5"/>' for px, py in points) + "</g>")
        ends.append((points[-1][1], kind, f'{name.format(window=shape["window"])}: {milliseconds(rows[kind][-1]["ms"])} ms'))
    # Names stand in the upper left, where no line runs, in the order of the lines at their right ends.
    for i, (_, kind, words) in enumerate(sorted(ends)):
        y = y1 + 10 + 20 * i
        out.append(f'<g class="{kind}"><circle class="dot" cx="{x0 + 14}" cy="{y - 4:.1f}" r="4"/>{text(x0 + 26, y, words, kind="name")}</g>')
    out.append(text(x0 + 26, y1 + 10 + 60, f"at {lengths[-1]:,} tokens"))
    return out


def accuracy_panel(x, accuracy):
    out = frame(x, "Accuracy on texts of up to 2,048 tokens", accuracy["task"])
    x0, x1 = x + 16, x + PANEL_W - 84
    at = x0 + (x1 - x0) * accuracy["chance"]
    bottom = TOP + PANEL_H - FOOT + 4
    out += [f'<line class="axis" stroke-dasharray="3 3" x1="{at:.1f}" x2="{at:.1f}" y1="{TOP + HEAD + 8}" y2="{bottom}"/>',
            text(at, bottom + 18, f'chance {100 * accuracy["chance"]:.0f} %', "middle")]
    step = (PANEL_H - HEAD - FOOT - 6) / len(accuracy["rows"])
    for i, row in enumerate(accuracy["rows"]):
        y = TOP + HEAD + 26 + i * step
        width = (x1 - x0) * row["accuracy"]
        out.append(f'<g class="{escape(row["kind"])}">{text(x0, y, row["name"])}<rect class="dot" x="{x0}" y="{y + 7:.1f}" width="{width:.1f}" height="14" rx="2"/></g>')
        if "low" in row:
            a, b = x0 + (x1 - x0) * row["low"], x0 + (x1 - x0) * row["high"]
            out.append(f'<line class="axis" x1="{a:.1f}" x2="{b:.1f}" y1="{y + 14:.1f}" y2="{y + 14:.1f}"/>')
        out.append(text(x0 + width + 14, y + 19, f'{100 * row["accuracy"] + 1e-9:.1f} %', kind="value"))
    return out


def picture(results):
    shapes = results["shapes"]
    panels = []
    for name, words in (("small", "A small model"), ("base", "As BERT-base")):
        if name in shapes:
            s = shapes[name]
            panels.append(lambda x, s=s, words=words: time_panel(x, s, f'{words}: {s["layers"]} layers x {s["hidden"]}, {s["heads"]} heads'))
    if "accuracy" in results:
        panels.append(lambda x: accuracy_panel(x, results["accuracy"]))
    width, height = 16 + len(panels) * (PANEL_W + GAP), PANEL_H + 2 * TOP + 20
    body = []
    for i, panel in enumerate(panels):
        body += panel(16 + i * (PANEL_W + GAP))
    body.append(text(16, height - 12, f'{results["cpu"]}, tier {results["tier"]}, processor time of one thread, one text at a time, least of {min(s["rounds"] for s in shapes.values())} rounds or more', kind="foot"))
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
            f'aria-label="Time against length of softmax, window and linear attention">\n<style>{STYLE}</style>\n'
            f'<rect class="ground" width="{width}" height="{height}"/>\n' + "\n".join(body) + "\n</svg>\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lengths", nargs="?")
    parser.add_argument("--accuracy")
    parser.add_argument("--out")
    parser.add_argument("--show")
    asked = parser.parse_args()
    if asked.show:
        out, results = Path(asked.show).with_suffix(""), json.loads(Path(asked.show).read_text())
    elif asked.lengths and asked.out:
        out, results = Path(asked.out), json.loads(Path(asked.lengths).read_text())
        if asked.accuracy:
            results["accuracy"] = json.loads(Path(asked.accuracy).read_text())
        out.with_suffix(".json").write_text(json.dumps(results, indent=1) + "\n")
    else:
        parser.error("give a file of length_bench and --out, or --show")
    out.with_suffix(".svg").write_text(picture(results))
    for name, shape in results["shapes"].items():
        print(f'{name}: {shape["layers"]} x {shape["hidden"]}, ms a text')
        for i, row in enumerate(shape["kinds"]["softmax"]):
            print(f'  {row["tokens"]:>5} tokens' + "".join(f'  {kind} {milliseconds(shape["kinds"][kind][i]["ms"]):>6}' for kind in KINDS))


if __name__ == "__main__":
    main()
