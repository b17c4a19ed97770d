#!/usr/bin/env python3
"""Prints eval.json files as the Markdown tables of docs/results.md: results_table.py NAME=eval.json ..."""
import json
import sys


def percent(value, digits=1):
    return "-" if value is None else f"{100 * value:.{digits}f} %"


def table(name, path):
    with open(path, encoding="utf-8") as file:
        report = json.load(file)
    systems = {s["name"]: s for s in report["systems"]}
    base = systems["base"]
    print(f"### {name}: {report['n_test']:,} test inputs, {report['layers']} layers x {report['hidden']}, {report['tier']}, "
          f"{report['threads']} thread\n")
    print("| system | accuracy | points against base [95 %] | MACs saved | ms saved, batch 1 | batch 32 | mean depth | peak MB |")
    print("|---|---|---|---|---|---|---|---|")
    for s in report["systems"]:
        def saved(key):
            return percent(1 - s[key] / base[key]) if s.get(key) and base.get(key) else "-"
        interval = s.get("interval")
        points = f"{100 * s['difference']:+.2f} [{100 * interval[0]:+.2f}, {100 * interval[1]:+.2f}]" if interval else ""
        print(f"| {s['name']} | {percent(s['value'], 2)} | {points} | {saved('macs')} | {saved('ms_batch1')} | {saved('ms_batch32')} "
              f"| {s['mean_depth']:.2f} | {s['peak_mb'] if s.get('peak_mb') is None else round(s['peak_mb'], 1)} |")
    print()


for argument in sys.argv[1:]:
    if "=" not in argument:
        sys.exit("usage: results_table.py NAME=eval.json ...")
    table(*argument.split("=", 1))
