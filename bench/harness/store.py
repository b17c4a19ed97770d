"""What was measured so far, a JSON object a line, so that an interrupted run goes on. Records of another build do not count:
the rows that a ratio compares were measured by one build of Fathom.

Tenants of the same machine that it cannot see slow it down for seconds or minutes. The speed of its instructions, measured
before and after each row, shows them: a row beside which that was much below the best one seen is measured again by the next run."""
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
        kind = lambda r: (r["precision"], r["threads"])  # noqa: E731
        quiet = [r for r in self.limits() if r["foreign_cpu"] <= NOISY]
        best = {k: max(r["gops"] for r in quiet if kind(r) == k) for k in {kind(r) for r in quiet}}
        rows = []
        for at, record in enumerate(self.records):
            if record["kind"] != "row":
                continue
            beside = lambda records: next((r["gops"] for r in records if r["kind"] == "limit" and kind(r) == kind(record)), None)  # noqa: E731
            around = [gops for gops in (beside(self.records[at::-1]), beside(self.records[at:])) if gops and kind(record) in best]
            rows.append({**record, "speed_share": min(1.0, *(gops / best[kind(record)] for gops in around)) if around else 1.0})
        return rows

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


def is_disturbed(row):
    return row.get("foreign_cpu", 0) > NOISY or row.get("speed_share", 1) < SLOWED
