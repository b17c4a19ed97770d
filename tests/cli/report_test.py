"""fathom report on eval.json files that are not what they should be: a page, or exit code 3 and the place."""
import json
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from program import ProgramTest  # noqa: E402


def system(name, **more):
    return {"name": name, "value": 0.9, "macs": 1e6, "decision_macs": 10.0, "mean_depth": 2.0, "difference": 0.0, "interval": [-0.01, 0.01],
            "curve": [[5e5, 0.8], [1e6, 0.9]], "curve_ms": []} | more


def document(**more):
    return {"format": 1, "task": "text-classification", "layers": 6, "n_test": 100, "systems": [system("base"), system("fathom", macs=5e5)],
            "savings": {"macs": 0.5}, "data": {"name": "<b>mail</b>", "date": "2026-01-02"}} | more


class Report(ProgramTest):
    def page(self, text):
        self.file = self.folder / "eval.json"
        self.file.write_text(text if isinstance(text, str) else json.dumps(text))
        self.good("report", self.file)
        return (self.folder / "report.html").read_text()

    def wrong(self, says, text):
        self.file = self.folder / "eval.json"
        self.file.write_text(text if isinstance(text, str) else json.dumps(text))
        self.assertIn(str(self.file), self.refused(3, says, "report", self.file))
        self.assertFalse((self.folder / "report.html").exists())

    def test_few_keys_are_enough(self):
        page = self.page(document())
        self.assertIn("&lt;b&gt;mail&lt;/b&gt;", page)
        self.assertNotIn("<b>mail", page)
        self.assertIn("data of 2026-01-02", page)
        self.page({"systems": []})
        self.page({"systems": [{"name": "fathom"}, {"name": "base", "macs": None}], "depth": {}, "complexity": {}, "predictor": {"matrix": [[1], []]}, "theorem": {},
                   "worst": [{}], "by_class": [{}], "confused": [{}], "confusion": [[]], "gates": [{}], "enough": {"exit": 1}, "overhead": {}})

    def test_wrong_types_are_named(self):
        self.wrong("no \"systems\"", {"task": "x"})
        self.wrong("no \"systems\"", [])
        self.wrong(r"systems\[1\]\.macs: expected a number", document(systems=[system("base"), system("fathom", macs="many")]))
        self.wrong(r"layers: expected a whole number, 1.0 to 64.0; got 65", document(layers=65))
        self.wrong(r"layers", document(layers={"a": 1}))
        self.wrong(r"has no \"name\"", document(systems=[{}]))
        self.wrong(r"depth.histogram\[0\]", document(depth={"histogram": ["a"]}))
        self.wrong("eval.json", "{\"systems\": [")
        self.wrong("eval.json", "")

    def test_one_huge_number(self):
        self.wrong(r"systems\[0\]\.curve\[0\]\[0\]", document(systems=[system("base", curve=[[1e200, 1]])]))
        self.assertLess(len(self.page(document(systems=[system("base", curve=[[1, 0], [1e18, 1]]), system("fathom")]))), 200_000)


if __name__ == "__main__":
    unittest.main()
