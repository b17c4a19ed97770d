"""kill -9 in the middle of `fathom fit`, started again: the bundle's checksum equals the uninterrupted run's.
An interrupt (SIGINT) ends with exit code 130 and a state that goes on."""
import json
import os
import random
import signal
import subprocess
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from program import FATHOM, ProgramTest  # noqa: E402

MODEL = ["--layers", "3", "--hidden", "16", "--heads", "2", "--ffn", "32", "--steps", "60", "--batch-size", "16",
         "--checkpoint-every", "10", "--threads", "1"]


class Resume(ProgramTest):
    def command(self, out):
        return [str(FATHOM), "fit", "--data", str(self.folder / "data"), "--task", "text-classification", "-o", str(out), *MODEL]

    def checksum(self, bundle):
        return json.loads(self.good("info", bundle, "--json", "--verify").stdout)["checksum"]

    def tensors(self, bundle):
        names = []
        for file in ("model.safetensors", "fathom.safetensors"):
            data = (bundle / file).read_bytes()
            names += json.loads(data[8:8 + int.from_bytes(data[:8], "little")])
        return sorted(names)

    def taught(self, bundle):
        return json.loads((bundle / "fathom.json").read_text())["provenance"]["training"].get("teacher")

    def stopped_fit(self, out, seconds, how):
        """Runs fit and stops it after `seconds`; True if it was stopped before it had ended."""
        process = subprocess.Popen(self.command(out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(seconds)
            return False
        except subprocess.TimeoutExpired:
            process.send_signal(how)
            code = process.wait(120)
            self.assertEqual(code, 130 if how == signal.SIGINT else -signal.SIGKILL)
            return True

    def test_killed_runs_end_with_the_same_bytes(self):
        self.good("generate", "text", "-o", self.folder / "data", "--train", "600", "--tune", "200", "--calibrate", "200", "--test", "50")
        begun = time.monotonic()
        self.good(*self.command(self.folder / "whole")[1:])
        seconds = time.monotonic() - begun
        wanted = self.checksum(self.folder / "whole")

        dice, kills = random.Random(int(os.environ.get("FATHOM_TEST_SEED", "1"))), 0
        for how, out in ((signal.SIGKILL, self.folder / "killed"), (signal.SIGINT, self.folder / "interrupted")):
            for _ in range(3):
                kills += self.stopped_fit(out, seconds * dice.uniform(0.1, 0.8), how)
            self.good(*self.command(out)[1:])
            self.assertEqual(self.checksum(out), wanted, str(how))
            self.assertFalse([p for p in out.rglob("*.tmp-*")], "no temporary file is left")
        self.assertGreaterEqual(kills, 2, "the runs were too short to be stopped")
        print(f"stopped {kills} times within runs of {seconds:.1f} s")

        again = self.good(*self.command(self.folder / "whole")[1:])  # a finished fit is reused
        self.assertEqual(self.checksum(self.folder / "whole"), wanted)
        self.assertIn(b"checksum", again.stdout)

    def test_a_student_of_another_shape(self):
        self.good("generate", "text", "-o", self.folder / "data", "--train", "600", "--tune", "200", "--calibrate", "200", "--test", "50")
        teacher, plain, taught = self.folder / "teacher", self.folder / "plain", self.folder / "taught"
        self.good(*self.command(teacher)[1:])
        small = ["--layers", "2", "--hidden", "8", "--heads", "1", "--ffn", "16", *MODEL[MODEL.index("--steps"):]]
        fit = ["fit", "--data", self.folder / "data", "--task", "text-classification", *small, "-o"]
        for out, flags in ((plain, []), (taught, ["--teacher", teacher])):
            self.good(*fit, out, *flags)
        self.assertNotEqual(self.checksum(plain), self.checksum(taught))
        facts = json.loads((taught / "fathom.json").read_text())["provenance"]["options"]
        self.assertEqual(facts["teacher"], self.checksum(teacher))
        again = self.folder / "again"
        self.good(*fit, again, "--teacher", teacher)
        self.assertEqual(self.checksum(again), self.checksum(taught))
        self.assertEqual((taught / "vocab.txt").read_bytes(), (teacher / "vocab.txt").read_bytes())
        self.assertEqual(self.tensors(taught), self.tensors(plain), "projections are thrown away")
        self.assertEqual(self.taught(taught), {"states_after": [0, 2, 3], "relation_heads": 0})  # generated: windows
        whole, deep, narrow, own = (self.folder / name for name in ("whole", "deep", "narrow", "own"))
        self.good(*self.command(whole)[1:], "--window", "0")
        talk = self.good(*fit, deep, "--window", "0", "--teacher", whole).stderr.decode()
        self.assertIn("hidden states, and its attention", talk)
        self.assertEqual(self.taught(deep)["relation_heads"], 1)
        self.good(*fit, narrow, "--word-width", "4", "--teacher", teacher)
        self.assertEqual(json.loads((narrow / "config.json").read_text())["word_width"], 4)
        talk = self.good(*fit, own, "--vocab-size", "100", "--teacher", teacher).stderr.decode()
        self.assertIn("the answers alone", talk)
        self.assertIsNone(self.taught(own))
        int8 = self.folder / "int8"
        self.good("compress", teacher, "--precision", "int8", "-o", int8, "--timing-seconds", "1")
        no = self.folder / "no"
        self.refused(3, "layers in int8", *self.command(no)[1:], "--teacher", int8)
        self.refused(2, "default recipe", *self.command(no)[1:], "--recipe", "paper", "--teacher", teacher)
        self.refused(1, "nothing", *self.command(no)[1:], "--teacher", self.folder / "nothing")
        self.refused(2, "more than the teacher reads", *self.command(no)[1:], "--teacher", teacher, "--max-tokens", "4000")
        self.refused(2, "not narrower than the model, 16", *self.command(no)[1:], "--word-width", "16")
        self.good("generate", "image", "-o", self.folder / "pictures", "--train", "300", "--tune", "192", "--calibrate", "60", "--test", "10")
        pictures = ["fit", "--data", self.folder / "pictures", "--task", "image-classification", "-o", no, *MODEL]
        self.refused(3, "reads texts, the data are pictures", *pictures, "--teacher", teacher)
        self.refused(2, "no word table", *pictures, "--word-width", "4")
        seen = self.folder / "seen"
        self.good(*pictures[:-len(MODEL) - 1], seen, *MODEL, "--window", "0")
        for patch, facts in ((None, {"states_after": [0, 2, 3], "relation_heads": 1}), ("4", None)):
            out = self.folder / f"patch{patch}"
            self.good(*pictures[:-len(MODEL) - 1], out, *small, "--window", "0", "--teacher", seen, *(["--patch", patch] if patch else []))
            self.assertEqual(self.taught(out), facts)
        (self.folder / "other").mkdir()
        for part in ("train", "tune", "calibrate", "test"):
            rows = "".join(f"\"some words {i}\",\"kind{i % 3}\"\n" for i in range(60))
            (self.folder / "other" / f"{part}.csv").write_text("\"text\",\"label\"\n" + rows)
        other = ["fit", "--data", self.folder / "other", "--task", "text-classification", "-o", self.folder / "no2", *MODEL]
        self.refused(3, "kind0", *other, "--teacher", teacher)


if __name__ == "__main__":
    unittest.main()
