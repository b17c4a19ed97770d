"""bench/: ratios, limits and cosines of fixed rows, the table and the page of them, going on after a stop, and refusals."""
import array
import json
import os
import re
import struct
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

BENCH = Path(os.environ.get("FATHOM_SOURCE_DIR", Path(__file__).resolve().parents[2])) / "bench"
sys.dont_write_bytecode = True
sys.path.insert(0, str(BENCH))
from harness import answers, machine, measure, page, table, verdict  # noqa: E402
from harness.store import Store  # noqa: E402
from harness.workloads import PEERS, SHAPES, WORKLOADS  # noqa: E402


def row(engine, ms, peak_mb, **more):
    base = {"workload": "W1", "precision": "fp32", "threads": 1, "engine": engine, "layout": "packed" if engine == "fathom" else "padded",
            "computes": more.get("precision", "fp32"), "median_ms": ms, "min_ms": ms, "load_ms": 1.0, "peak_mb": peak_mb, "model_mb": 340.0,
            "cosine": 1.0, "foreign_cpu": 0.0, "version": "1.2"}
    return {**base, **more}


def limit(gops, read_gbs, **more):
    return {"workload": "W1", "precision": "fp32", "threads": 1, "gops": gops, "read_gbs": read_gbs, "cache_bytes": 32 << 20, "foreign_cpu": 0.0, **more}


def one(rows, limits=()):
    verdicts = verdict.judge_all(rows, list(limits))
    assert len(verdicts) == 1
    return verdicts[0]


class Arithmetic(unittest.TestCase):
    def test_work_of_the_workloads(self):
        # 12 layers x (18 tokens x (4 x 768^2 + 2 x 768 x 3072) + 2 x 18^2 x 768)
        self.assertEqual(WORKLOADS["W1"].macs(), 12 * (18 * 7077888 + 497664))
        self.assertEqual(WORKLOADS["W4"].macs(), sum(SHAPES["bert"].macs(n) for n in WORKLOADS["W4"].lengths))
        self.assertEqual((sum(WORKLOADS["W4"].lengths), len(WORKLOADS["W4"].lengths)), (1319, 32))
        self.assertEqual(WORKLOADS["W5x8"].macs(), 8 * WORKLOADS["W5"].macs())
        self.assertEqual(WORKLOADS["W1"].weight_bytes("fp32"), 4 * WORKLOADS["W1"].weight_bytes("int8"))
        self.assertEqual(SHAPES["mini"].layer_weights(), 6 * (4 * 384 ** 2 + 2 * 384 * 1536))

    def test_the_limit_is_the_longer_of_computing_and_reading(self):
        computing = 2 * WORKLOADS["W1"].macs() / 100e6
        self.assertAlmostEqual(verdict.limit_ms("W1", "fp32", [limit(100, 1000)]), computing)
        self.assertAlmostEqual(verdict.limit_ms("W1", "fp32", [limit(1e6, 10)]), 4 * 12 * 7077888 / 10e6)
        self.assertAlmostEqual(verdict.limit_ms("W1", "fp32", [limit(90, 1000), limit(100, 1000), limit(40, 1000)]), computing)  # the best
        self.assertIsNone(verdict.limit_ms("W1", "fp32", []))

    def test_limits_of_a_busy_moment_do_not_count(self):
        computing = 2 * WORKLOADS["W1"].macs() / 100e6
        self.assertAlmostEqual(verdict.limit_ms("W1", "fp32", [limit(50, 1000, foreign_cpu=0.2), limit(100, 1000), limit(60, 1000, foreign_cpu=0.3)]), computing)
        self.assertIsNone(verdict.limit_ms("W1", "fp32", [limit(50, 1000, foreign_cpu=0.2)]))

    def test_weights_that_fit_in_the_cache_are_not_read(self):
        self.assertAlmostEqual(verdict.limit_ms("W6", "int8", [limit(100, 0.001)]), 2 * WORKLOADS["W6"].macs() / 100e6)


class Verdicts(unittest.TestCase):
    def test_ratio_is_to_the_quickest_peer_and_its_better_layout(self):
        v = one([row("fathom", 10, 330), row("ort", 14, 600), row("openvino", 12, 900), row("openvino", 11, 910, layout="buckets")])
        self.assertEqual((v["best_peer"], v["smallest_peer"], v["smallest_peer_mb"]), ("openvino", "ort", 600))
        self.assertAlmostEqual(v["ratio"], 1.1)
        self.assertFalse(v["time_met"])  # 1.15 is asked for
        self.assertIn("sorted buckets", v["note"])
        self.assertTrue(one([row("fathom", 10, 330), row("ort", 11.5, 600)])["time_met"])

    def test_near_the_limit_is_enough(self):
        near = limit(2 * WORKLOADS["W1"].macs() / 1e6 / 8.1, 1e6)  # a limit of 8.1 ms
        self.assertTrue(one([row("fathom", 10, 330), row("ort", 9, 600)], [near])["time_met"])
        self.assertFalse(one([row("fathom", 10.2, 330), row("ort", 9, 600)], [near])["time_met"])

    def test_memory_must_be_below_its_bound_and_below_every_peer(self):
        self.assertTrue(one([row("fathom", 10, 410.9), row("ort", 14, 412)])["memory_met"])  # 1.15 x 340 + 20
        self.assertFalse(one([row("fathom", 10, 411.5), row("ort", 14, 600)])["memory_met"])
        self.assertFalse(one([row("fathom", 10, 300), row("ort", 14, 299)])["memory_met"])

    def test_ours_alone_and_rows_that_failed(self):
        v = one([row("fathom", 10, 330), {**row("ort", 0, 0), "error": "no"}][:1])
        self.assertEqual((v["ratio"], v["best_peer"], v["time_met"]), (None, None, False))
        failed = {k: x for k, x in row("ort", 0, 0).items() if k != "median_ms"} | {"error": "cannot"}
        self.assertIsNone(one([row("fathom", 10, 330), failed])["ratio"])
        self.assertEqual(verdict.judge_all([row("ort", 3, 3)], []), [])

    def test_what_a_reader_must_know_is_noted(self):
        v = one([row("fathom", 10, 330, precision="bf16"), row("openvino", 20, 600, precision="bf16", computes="fp32", foreign_cpu=0.3)])
        self.assertIn("computes in fp32", v["note"])
        self.assertIn("others slowed the machine", v["note"])

    def test_where_bf16_is_emulated_float32_peers_count(self):
        rows = [row("fathom", 10, 330), row("ort", 14, 600), row("fathom", 8, 90, precision="bf16"), row("openvino", 480, 600, precision="bf16")]
        v = verdict.judge_all(rows, [])[1]
        self.assertEqual((v["best_peer"], v["best_peer_precision"], v["best_peer_ms"], v["smallest_peer"]), ("ort", "fp32", 14, "openvino"))
        self.assertIn("in fp32, which counts", v["note"])
        rows[3]["median_ms"] = 9
        self.assertEqual(verdict.judge_all(rows, [])[1]["best_peer"], "openvino")
        self.assertEqual(verdict.judge_all(rows, [])[0]["best_peer"], "ort")  # never the other way round

    def test_int8_must_stay_near_float32(self):
        self.assertFalse(one([row("fathom", 10, 90, precision="int8", cosine=0.9985)])["cosine_met"])
        self.assertTrue(one([row("fathom", 10, 90, precision="int8", cosine=0.9991)])["cosine_met"])


class Plan(unittest.TestCase):
    def test_entrants(self):
        every = list(PEERS)
        self.assertEqual(measure.entrants(("W5", "fp32", 1), every), [("fathom", "packed"), ("ort", "padded"), ("openvino", "padded")])
        self.assertEqual(measure.entrants(("W1", "bf16", 1), every), [("fathom", "packed"), ("openvino", "padded"), ("ct2", "padded")])
        self.assertIn(("openvino", "buckets"), measure.entrants(("W4", "int8", 2), every))
        self.assertEqual(measure.entrants(("W4", "int8", 2), []), [("fathom", "packed")])

    def test_a_stopped_run_goes_on_with_the_same_build_only(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "rows.jsonl"
            Store(path, "a").add("row", row("ort", 1, 1))
            with open(path, "a", encoding="utf-8") as file:
                file.write('{"kind": "row", "buil')  # cut short
            key = dict(workload="W1", precision="fp32", threads=1, engine="ort", layout="padded")
            self.assertTrue(Store(path, "a").has_row(**key))
            self.assertFalse(Store(path, "a").has_row(**{**key, "threads": 2}))
            self.assertFalse(Store(path, "b").has_row(**key))
            self.assertFalse(Store(path, "a", fresh=True).has_row(**key))

    def test_a_noisy_row_is_measured_again_and_the_quieter_one_kept(self):
        with tempfile.TemporaryDirectory() as folder:
            store = Store(Path(folder) / "rows.jsonl", "a")
            key = dict(workload="W1", precision="fp32", threads=1, engine="ort", layout="padded")
            for ms, foreign, quiet in ((5, 0.4, False), (6, 0.5, False), (4, 0.05, True)):
                store.add("row", row("ort", ms, 1, foreign_cpu=foreign))
                self.assertEqual(store.has_row(**key), quiet)
            self.assertEqual([r["median_ms"] for r in store.rows()], [4])

    def test_a_row_beside_a_slow_peak_is_measured_again(self):
        with tempfile.TemporaryDirectory() as folder:
            store = Store(Path(folder) / "rows.jsonl", "a")
            key = dict(workload="W1", precision="fp32", threads=1, engine="ort", layout="padded")
            for before, ms, after in ((100, 5, 70), (80, 6, 100), (100, 7, 99)):
                store.add("limit", limit(before, 10))
                store.add("row", row("ort", ms, 1))
                store.add("limit", limit(after, 10))
                self.assertEqual(store.has_row(**key), after == 99)
            self.assertEqual([(r["median_ms"], r["speed_share"]) for r in store.rows()], [(7, 0.99)])
            store.add("limit", limit(200, 10, precision="bf16"))  # the speed of other instructions says nothing about it
            store.add("limit", limit(200, 10, threads=2))
            store.add("limit", limit(200, 10, foreign_cpu=0.5))
            self.assertTrue(store.has_row(**key))

    def test_names_of_machines(self):
        self.assertEqual(machine.results_name("Intel(R) Xeon(R) Processor @ 2.50GHz", "avx512", 2), "xeon-avx512-2cores")
        self.assertEqual(machine.results_name("AMD EPYC 9B14", "avx512_bf16", 2), "epyc-avx512_bf16-2cores")
        self.assertEqual(machine.results_name("something else", "ref", 1), "cpu-ref-1cores")


class Processes(unittest.TestCase):
    def test_a_row_in_a_process_of_its_own(self):
        big = machine.run_fresh([sys.executable, "-c", "x = b'x' * 200_000_000; print('talk'); print('{\"a\": 1}')"], 1, ".", 60)
        self.assertEqual(big["a"], 1)
        self.assertGreater(big["peak_mb"], 200)
        self.assertLess(big["peak_mb"], 260)

    def test_the_peak_is_not_that_of_the_harness(self):
        ballast = b"x" * 100_000_000
        small = machine.run_fresh(["sh", "-c", "echo {}"], 1, ".", 60)
        self.assertLess(small["peak_mb"], 20)
        self.assertEqual(len(ballast), 100_000_000)

    def test_failures_say_why(self):
        for code, why in (("import sys; sys.exit('too bad')", "too bad"), ("pass", "nothing printed"), ("import time; time.sleep(9)", "not done")):
            with self.assertRaisesRegex(machine.Failed, why):
                machine.run_fresh([sys.executable, "-c", code], 1, ".", 0.3)


class Answers(unittest.TestCase):
    def compare(self, got, expected, mask):
        with tempfile.TemporaryDirectory() as folder:
            inputs, output = Path(folder) / "in", Path(folder) / "out"
            values, masks = array.array("f", expected).tobytes(), array.array("q", mask).tobytes()
            header = json.dumps({"last_hidden_state": {"dtype": "F32", "shape": [1, len(mask), 2], "data_offsets": [0, len(values)]},
                                 "attention_mask": {"dtype": "I64", "shape": [1, len(mask)], "data_offsets": [len(values), len(values + masks)]}}).encode()
            inputs.write_bytes(struct.pack("<Q", len(header)) + header + values + masks)
            output.write_bytes(array.array("f", got).tobytes())
            return answers.compare(inputs, output)

    def test_padding_does_not_count(self):
        self.assertEqual(self.compare([3, 4, 99, -7], [3, 4, 0, 0], [1, 0]), {"cosine": 1.0, "max_abs_error": 0.0})

    def test_differences_count(self):
        got = self.compare([1, 0, 0, 1], [1, 0, 1, 0], [1, 1])
        self.assertAlmostEqual(got["cosine"], 0.5)
        self.assertEqual(got["max_abs_error"], 1.0)

    def test_answers_that_are_none(self):
        for got, why in (([1, 2], "2 values, expected 4"), ([0, 0, 0, 0], "finite"), ([float("nan"), 0, 0, 1], "finite")):
            with self.assertRaisesRegex(ValueError, why):
                self.compare(got, [1, 2, 3, 4], [1, 1])


class Shown(unittest.TestCase):
    def setUp(self):
        failed = {k: v for k, v in row("ct2", 0, 0, precision="bf16").items() if k != "median_ms"} | {"error": "no <bf16> here"}
        rows = [row("fathom", 10, 330), row("ort", 14, 600), row("fathom", 5, 90, precision="bf16"),
                row("openvino", 7.77, 600, precision="bf16", computes="fp32"), failed]
        about = {"name": "xeon-avx512-2cores", "cpu": "Xeon", "tier": "avx512", "cores": 2, "cache_mb": 34.6, "versions": {"ort": "1.2"}, "measured": "2026-01-01"}
        self.results = {"machine": about, "build": "abc", "rows": rows, "limits": [], "verdicts": verdict.judge_all(rows, [limit(1000, 1e6)])}
        self.failed = [failed]

    def test_table(self):
        text = "\n".join(table.lines(self.results["verdicts"], self.failed))
        line = next(part for part in text.splitlines() if part.startswith("W1") and "fp32" in part)
        self.assertEqual(line.split()[:8], ["W1", "fp32", "1", "10.00", "14.00", "ONNX", "Runtime", "1.40"])
        self.assertIn("Targets met, of 2 rows: time 2, memory 2", text)
        self.assertIn("not measured: no <bf16> here", text)

    def test_the_page_has_every_row_and_loads_nothing(self):
        html = page.render(self.results)
        self.assertEqual(html.count('<div class="bar'), len(self.results["rows"]))
        self.assertNotIn('class="over"', html)
        self.results["rows"][1]["median_ms"] = 41.0
        self.assertIn('class="over"', page.render(self.results))
        for words in ("10.0 ms", "14.0 ms", "7.77 ms", "1.40 x", "no &lt;bf16&gt; here", "not measured", "computes in fp32"):
            self.assertIn(words, html)
        self.assertNotRegex(html, r"<script|src=|href=|url\(|@import")
        self.assertEqual(len(re.findall("<tr>", html)), 1 + len(self.results["verdicts"]))


class Command(unittest.TestCase):
    def refused(self, says, *arguments):
        done = subprocess.run([sys.executable, str(BENCH / "compare.py"), *arguments], capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stdout), (2, ""), done.stderr)
        self.assertIn(says.lower(), done.stderr.lower())

    def test_wrong_flags(self):
        self.refused("'W9' is no workload, precision or number of threads", "--rows", "W1,W9")
        self.refused("'mkl' is no engine", "--peers", "ort,mkl")
        self.refused("unrecognized arguments: --peer", "--peer", "ort")
        self.refused("make bench-build", "--build", "/nowhere")
        self.refused("no such file", "--show", "/nowhere.json")
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "old.json").write_text("[]")
            self.refused("no results of make bench", "--show", str(Path(folder) / "old.json"))


if __name__ == "__main__":
    unittest.main()
