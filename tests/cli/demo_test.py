"""A small `fathom demo` from nothing: both tables, every file of the layout; run again it reuses every step, and a
damaged bundle is made again."""
import json
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from program import ProgramTest, run  # noqa: E402

SMALL = ["--train", "800", "--test", "120", "--timing-seconds", "1", "--steps", "30"]
SYSTEMS = {"base", "full_depth", "fixed_depth", "early_exit", "dynamic_depth", "predictor_only", "policy_only", "fathom"}


class Demo(ProgramTest):
    def test_demo_and_its_reuse(self):
        out = self.folder / "demo"
        first = self.good("demo", "--out", out, *SMALL)
        for kind in ("text", "image"):
            self.assertIn(kind, first.stdout.decode())
            for part in ("data", "bundle", "bundle/fathom.json", "eval.json", "report.html"):
                self.assertTrue((out / kind / part).exists(), f"{kind}/{part}")
            systems = json.loads((out / kind / "eval.json").read_text())["systems"]
            self.assertLessEqual(SYSTEMS, {s["name"] for s in systems})
            for system in systems:
                self.assertTrue(0 <= system["value"] <= 1 and system["macs"] > 0, system["name"])
            page = (out / kind / "report.html").read_text()
            self.assertIn("<svg", page)
            self.assertNotRegex(page, r"""(src|href)=["']https?:""", "the report is self-contained")

        self.assertNotIn("NOT MET", first.stdout.decode(), "gates are for the demo's own size")
        shallow = run("eval", out / "text/bundle", "--gates", "--no-times", "--no-memory", "-o", self.folder / "gates.json")
        self.assertEqual(shallow.returncode, 5, shallow.stderr.decode())  # thirty steps learn nothing
        self.assertIn("NOT MET", shallow.stdout.decode())
        self.assertRegex(shallow.stderr.decode(), r"error FTH-501: \d+ quality gates not met: accuracy of base is 0\.\d+, not >= 0\.96")
        self.assertTrue((self.folder / "gates.json").exists(), "everything is written all the same")
        self.good("eval", out / "text/bundle", "--no-times", "--no-memory", "-o", self.folder / "plain.json")

        kept = {p: p.read_bytes() for p in out.rglob("eval.json")}
        begun = time.monotonic()
        again = self.good("demo", "--out", out, *SMALL)
        self.assertLess(time.monotonic() - begun, 20)
        self.assertEqual(again.stdout, first.stdout)
        self.assertEqual(again.stderr.decode().count("reused"), 6)
        self.assertEqual({p: p.read_bytes() for p in out.rglob("eval.json")}, kept)

        weights = out / "text/bundle/model.safetensors"
        whole = weights.read_bytes()
        weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        mended = self.good("demo", "--out", out, *SMALL)
        self.assertEqual(weights.read_bytes(), whole, "the fit made the same bytes again")
        self.assertEqual(mended.stderr.decode().count("bundle reused"), 1)


if __name__ == "__main__":
    unittest.main()
