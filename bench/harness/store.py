"""What was measured so far, a JSON object a line, so that an interrupted run goes on. Records of another build do not count:
the rows that a ratio compares were measured by one build of Fathom.

Tenants of the same machine that it cannot see slow it down for seconds or minutes. The speed of its instructions, measured
before and after each row, shows them: a row beside which that was much below the best one seen is measured again by the next pass."""
import json

from harness.machine import NOISY

ROW_KEY = ("workload", "precision", "threads", "engine", "layout")
SLOWED = 0.93  # of the best speed seen with these instructions and threads


class Store:
    def __init__(self, path, build, fresh=False):
        self.path, self.build, self.records = path, build, []
        path.parent.mkdir(parents=True, exist_ok=True)
        if fresh:
            path.unlink(missing_ok=True)
        if path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                try:
                    record = json.loads(line)
                except ValueError:
                    continue  # the line that was being written when the machine stopped
                if record.get("build") == build:
                    self.records.append(record)

    def add(self, kind, record):
        record = {"kind": kind, "build": self.build, **record}
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
        self.records.append(record)

    def limits(self):
        return [r for r in self.records if r["kind"] == "limit"]

    def measured(self):
        """Every row with "speed_share": the lower speed of instructions around it over the best one; 1 where none was measured."""
        best = {}
        for limit in self.limits():
            if limit["foreign_cpu"] <= NOISY:
                best[instructions(limit)] = max(limit["gops"], best.get(instructions(limit), 0))
        before, after = speeds_before(self.records), speeds_before(self.records[::-1])[::-1]
        rows = [r for r in self.records if r["kind"] == "row"]
        return [{**row, "speed_share": min([1.0, *(gops / best[instructions(row)] for gops in around if gops and instructions(row) in best)])}
                for row, around in zip(rows, zip(before, after))]

    def rows(self):
        """One a key: the least disturbed, of equals the newest."""
        def disturbed(row):
            return max(NOISY, row.get("foreign_cpu", 0)), -min(SLOWED, row["speed_share"])

        kept = {}
        for row in self.measured():
            key = tuple(row[name] for name in ROW_KEY)
            if key not in kept or disturbed(row) <= disturbed(kept[key]):
                kept[key] = row
        return list(kept.values())

    def has_row(self, **key):
        """One that need not be measured again: nobody slowed it, or it failed."""
        return any(all(r[name] == key[name] for name in ROW_KEY) and ("error" in r or not is_disturbed(r)) for r in self.rows())


def instructions(record):
    return record["precision"], record["threads"]


def speeds_before(records):
    """Of each row the speed of its instructions when they were last measured; None: not yet."""
    last, speeds = {}, []
    for record in records:
        if record["kind"] == "limit":
            last[instructions(record)] = record["gops"]
        elif record["kind"] == "row":
            speeds.append(last.get(instructions(record)))
    return speeds


def is_disturbed(row):
    return row.get("foreign_cpu", 0) > NOISY or row.get("speed_share", 1) < SLOWED
