"""What was measured so far, a JSON object a line, so that an interrupted run goes on. Records of another build do not count:
the rows that a ratio compares were measured by one build of Fathom."""
import json

from harness.machine import NOISY

ROW_KEY = ("workload", "precision", "threads", "engine", "layout")


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

    def rows(self):
        """One a key: the quietest, of equals the newest."""
        kept = {}
        for row in (r for r in self.records if r["kind"] == "row"):
            key = tuple(row[name] for name in ROW_KEY)
            if key not in kept or row.get("foreign_cpu", 0) <= max(NOISY, kept[key].get("foreign_cpu", 0)):
                kept[key] = row
        return list(kept.values())

    def has_row(self, **key):
        """One that need not be measured again: it was quiet, or failed."""
        return any(all(r[name] == key[name] for name in ROW_KEY) and r.get("foreign_cpu", 0) <= NOISY for r in self.rows())
