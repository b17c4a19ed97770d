"""fathom bench: every figure is there, sane, and of the bundle that was asked for."""
import json
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from program import ProgramTest  # noqa: E402


class Bench(ProgramTest):
    def test_figures(self):
        bundle = self.bundle()
        bench = json.loads(self.good("bench", bundle, "--json", "--seconds", "0.2", "--trajectories", "50", "--threads", "1", "--tokens", "9").stdout)
        self.assertEqual((bench["threads"], bench["precision"], bench["mean_tokens"]), (1, "fp32", 9))
        for name in ("full_depth", "fathom"):
            row = bench["systems"][name]
            ms = row["latency_ms"]
            self.assertTrue(0 < ms["p10"] <= ms["p50"] <= ms["p90"] <= ms["p99"], ms)
            self.assertGreater(row["throughput"]["inputs_per_s"], 0)
            self.assertGreater(row["peak_mb"], 1)
            self.assertGreater(row["share_of_hot_gemm"], 0)
        self.assertGreaterEqual(bench["systems"]["full_depth"]["mean_depth"], bench["systems"]["fathom"]["mean_depth"])
        self.assertEqual(bench["switching"]["trajectories"], 50)
        self.assertEqual(bench["switching"]["difference_us"]["runs"], 50)
        self.assertIn("energy", bench)
        for way in ("batch1", "batch32", "stream"):
            saving = bench["saving"][way]
            self.assertTrue(0 < saving["adaptive_ms"] and 0 < saving["full_ms"] and saving["inputs"] > 0, saving)
            self.assertLess(saving["macs_saved"], 1)
            self.assertAlmostEqual(saving["ms_saved"], 1 - saving["adaptive_ms"] / saving["full_ms"], 6)
        shown = self.good("bench", bundle, "--seconds", "0.05", "--trajectories", "0").stdout.decode()
        self.assertIn("full_depth", shown)
        self.assertNotIn("switching", shown)

    def test_memory_budget(self):
        bundle = self.bundle()
        refused = self.refused(2, "one layer takes", "run", bundle, "a", "--memory-budget", "0.001")
        words = refused.split()
        layer = float(words[words.index("takes") + 1])
        texts = ["one", "two words", "and three of them", "a b c d e f g h"]
        free, bound = (self.good("run", bundle, *texts, "--json", *more) for more in ((), ("--memory-budget", str(2.001 * layer))))
        self.assertEqual(free.stdout, bound.stdout)
        self.assertIn("missed", bound.stderr.decode())
        bench = json.loads(self.good("bench", bundle, "--json", "--seconds", "0.1", "--trajectories", "0", "--memory-budget", str(2.001 * layer)).stdout)
        memory = bench["systems"]["full_depth"]["memory"]
        self.assertLessEqual(memory["most_held_mb"], memory["budget_mb"])
        self.assertGreater(memory["hits"] + memory["read_ahead"] + memory["misses"], 0)

    def test_wrong_input(self):
        bundle = self.bundle()
        self.refused(2, "at most", "bench", bundle, "--tokens", "100000")
        self.refused(2, "seconds", "bench", bundle, "--seconds", "0")
        self.refused(1, "no bundle", "bench", self.folder / "none")


if __name__ == "__main__":
    unittest.main()
