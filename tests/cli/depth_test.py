"""Depth is needed by construction: exit k is at chance on inputs whose evidence is farther than k, and beyond it where
the evidence has arrived."""
import json
import math
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from program import ProgramTest  # noqa: E402

SHAPE = ["--layers", "4", "--hidden", "32", "--heads", "4", "--ffn", "64", "--window", "1", "--norm", "pre", "--pooling", "cls"]


class Depth(ProgramTest):
    def check(self, kind, task, extra):
        data, bundle = self.folder / f"{kind}-data", self.folder / f"{kind}-bundle"
        self.good("generate", kind, "--out", data, "--train", "8000", "--tune", "600", "--calibrate", "600", "--test", "3000")
        self.good("fit", "--data", data, "--task", task, "--out", bundle, "--steps", "400", "--threads", "1", *SHAPE, *extra)
        report = json.loads(self.good("eval", bundle, "--no-times", "--no-memory", "--json").stdout)
        values = report["complexity"]["values"]
        self.assertEqual([v["value"] for v in values], list(range(1, 11)))
        far = 0
        for value in values:
            sigma = math.sqrt(0.25 * 0.75 / value["count"])
            for exit, accuracy in enumerate(value["exit_accuracy"], start=1):
                if exit < value["value"]:
                    far += 1
                    self.assertLess(abs(accuracy - 0.25), 4.5 * sigma, f"{kind}: exit {exit} at distance {value['value']}")
        self.assertEqual(far, 1 + 2 + 3 + 6 * 4)
        nearest = values[0]["exit_accuracy"]
        self.assertGreater(min(nearest), 0.75, f"{kind}: every exit sees the nearest evidence")

    def test_text(self):
        self.check("text", "text-classification", ["--max-tokens", "11"])

    def test_image(self):
        self.check("image", "image-classification", ["--patch", "8"])


if __name__ == "__main__":
    unittest.main()
