"""Verbs, flags, help, exit codes: wrong use ends with exit code 2 and one clear message."""
import json
import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from program import BINARIES, FATHOM, ProgramTest, run  # noqa: E402

VERBS = ["demo", "generate", "fit", "eval", "run", "report", "info", "doctor", "help"]


class Usage(ProgramTest):
    def test_unknown_verb_gets_a_suggestion(self):
        self.assertIn("did you mean 'eval'", self.refused(2, "unknown verb 'evla'", "evla"))
        self.refused(2, "unknown verb 'xyzzy'", "xyzzy")

    def test_no_verb(self):
        self.refused(2, "no verb")

    def test_unknown_flag_gets_a_suggestion(self):
        self.assertIn("did you mean '--lambda'", self.refused(2, "does not know '--lamda'", "run", self.folder, "x", "--lamda", "1"))

    def test_flags_out_of_range(self):
        for arguments in (["run", "m", "x", "--lambda", "3"], ["run", "m", "x", "--lambda", "nan"], ["run", "m", "x", "--lambda=-1"],
                          ["run", "m", "x", "--threads", "-2"], ["run", "m", "x", "--threads", "two"], ["run", "m", "x", "--tier", "mmx"],
                          ["generate", "text", "-o", self.folder / "g", "--train", "0"], ["generate", "sound", "-o", self.folder / "g"], ["generate", "long", "-o", self.folder / "g", "--longest", "9"],
                          ["eval", "m", "--max-test", "-1"], ["fit", "--data", ".", "-o", self.folder / "g", "--max-disagreement", "2"],
                          ["fit", "--data", ".", "-o", self.folder / "g", "--task", "poetry"]):
            self.refused(2, "--|expected|kind", *arguments)
        self.assertFalse((self.folder / "g").exists())

    def test_exclusive_flags(self):
        self.refused(2, "exclude", "run", "m", "x", "--lambda", "1", "--full-depth")

    def test_required_arguments(self):
        for verb in ("run", "info", "eval", "report", "fit", "generate"):
            self.refused(2, "required", verb)

    def test_missing_paths(self):
        nowhere = self.folder / "nowhere"
        for arguments in (["run", nowhere, "x"], ["info", nowhere], ["eval", nowhere], ["report", nowhere],
                          ["fit", "--data", nowhere, "-o", self.folder / "m"]):
            self.assertIn("nowhere", self.refused(1, "nowhere", *arguments))
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_generate_refuses_an_existing_folder(self):
        self.refused(2, "already there", "generate", "text", "-o", self.folder)

    def test_help_is_data_and_names_every_verb(self):
        text = self.good("help").stdout.decode()
        for verb in VERBS:
            self.assertIn(verb, text)
            one = self.good("help", verb).stdout.decode()
            self.assertIn("fathom " + verb, one)
            self.assertEqual(self.good(verb, "--help").stderr, b"")
        self.assertNotIn("peak", text)
        self.refused(2, "unknown verb", "help", "evil-verb-that-is-none")

    def test_version(self):
        self.assertRegex(self.good("--version").stdout.decode(), r"^\d+\.\d+\.\d+\n$")

    def test_doctor(self):
        told = json.loads(self.good("doctor", "--json").stdout)
        self.assertTrue(told["tiers"]["ref"])
        self.assertGreaterEqual(told["cores"], 1)
        self.assertEqual(json.loads(self.good("doctor", "--json", "--tier", "ref").stdout)["tier"], "ref")
        self.assertEqual(json.loads(self.good("doctor", "--json", env={"FATHOM_TIER": "ref"}).stdout)["tier"], "ref")
        self.assertIn(told["tier"], self.good("doctor").stdout.decode())

    def test_generate_writes_the_same_bytes_for_a_seed(self):
        for kind in ("text", "image", "long"):
            for name in ("a", "b"):
                self.good("generate", kind, "-o", self.folder / kind / name, "--train", "40", "--tune", "8", "--calibrate", "8", "--test", "8", "--seed", "5")
            files = sorted(p.name for p in (self.folder / kind / "a").iterdir())
            self.assertTrue(files)
            for name in files:
                self.assertEqual((self.folder / kind / "a" / name).read_bytes(), (self.folder / kind / "b" / name).read_bytes(), name)
            self.assertEqual(sorted(p.name for p in (self.folder / kind).iterdir()), ["a", "b"], "no partial folder is left")

    def test_fathom_links_no_training_library(self):
        shown = subprocess.run(["ldd", FATHOM], capture_output=True, text=True, check=True).stdout.lower()
        for library in ("torch", "c10", "lightgbm", "cuda"):
            self.assertNotIn(library, shown)


if __name__ == "__main__":
    unittest.main()
