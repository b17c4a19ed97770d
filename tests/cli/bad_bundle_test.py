"""Bundles cut short or damaged: exit code 3, one message that names the file, the bundle left as it was."""
import hashlib
import json
import os
import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from program import FATHOM, ProgramTest  # noqa: E402


def listing(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir() if not p.name.startswith("packed.")}


class BadBundle(ProgramTest):
    def each_verb_refuses(self, bundle, names):
        before = listing(bundle)
        for verb in (["run", bundle, "fox"], ["info", bundle], ["eval", bundle]):
            self.refused(3, names, *verb)
        self.assertEqual(listing(bundle), before, "a refused bundle is not touched")

    def test_every_file_cut_short(self):
        for name in ("config.json", "model.safetensors", "fathom.safetensors", "predictor.txt", "fathom.json", "tokenizer.json"):
            with self.subTest(name):
                bundle = self.bundle()
                whole = (bundle / name).read_bytes()
                for keep in (0, len(whole) // 2, len(whole.rstrip()) - 1):
                    (bundle / name).write_bytes(whole[:keep])
                    self.each_verb_refuses(bundle, name.replace(".", r"\."))

    def test_every_file_missing(self):
        for name in ("config.json", "model.safetensors", "fathom.safetensors", "predictor.txt", "tokenizer.json"):
            with self.subTest(name):
                bundle = self.bundle()
                (bundle / name).unlink()
                self.each_verb_refuses(bundle, name.replace(".", r"\."))

    def test_a_flipped_bit_is_found_by_verify(self):
        bundle = self.bundle()
        data = bytearray((bundle / "model.safetensors").read_bytes())
        data[-5] ^= 1
        (bundle / "model.safetensors").write_bytes(data)
        self.good("info", bundle)
        self.refused(3, r"model\.safetensors", "info", bundle, "--verify")
        self.refused(3, r"model\.safetensors", "run", bundle, "fox")

    def test_fathom_json_changed_by_hand(self):
        bundle = self.bundle()
        text = (bundle / "fathom.json").read_text()
        (bundle / "fathom.json").write_text(text.replace('"lambda": 0.5', '"lambda": 0.7'))
        self.refused(3, r"fathom\.json.*its own 'sha256'", "run", bundle, "fox")
        self.assertIn(b"its own 'sha256'", self.good("info", bundle).stderr)

    def test_numbers_out_of_range(self):
        for key, value in (("layers", 65), ("layers", 0), ("hidden", -4), ("heads", 5), ("max_tokens", 10**12)):
            with self.subTest(f"{key}={value}"):
                bundle = self.bundle()
                config = json.loads((bundle / "config.json").read_text())
                if key not in config:
                    self.skipTest(f"config.json spells {key} in another way")
                config[key] = value
                text = json.dumps(config)
                (bundle / "config.json").write_text(text)
                listed = json.loads((bundle / "fathom.json").read_text())
                listed["files"]["config.json"] = {"bytes": len(text), "sha256": hashlib.sha256(text.encode()).hexdigest()}
                del listed["sha256"]
                (bundle / "fathom.json").write_text(json.dumps(listed))
                self.refused(3, "config|" + key, "run", bundle, "fox")

    def test_a_folder_that_is_no_bundle(self):
        self.refused(3, "bundle|fathom.json", "info", self.folder)

    def test_packed_weights_are_rebuilt(self):
        bundle = self.bundle()
        first = self.good("run", bundle, "the lazy fox", "--json").stdout
        packed = list(bundle.glob("packed.*"))
        self.assertTrue(packed, "packed weights are written beside the bundle")
        whole = packed[0].read_bytes()
        for damage in (b"", whole[:100], b"\xff" * 5000):
            packed[0].write_bytes(damage)
            self.assertEqual(self.good("run", bundle, "the lazy fox", "--json").stdout, first)
        for payload in (b"\0", b"\xff"):  # the header is as it should be
            packed[0].write_bytes(whole[:4096] + payload * (len(whole) - 4096))
            self.refused(3, r"packed\..*damaged", "run", bundle, "the lazy fox")
            self.assertEqual(self.good("run", bundle, "the lazy fox", "--json").stdout, first, "packed again")

    def test_a_file_cut_short_while_it_is_used(self):
        for how in ("map", "copy"):
            bundle = self.bundle()
            texts = b"the lazy fox\n" * 32
            first = self.good("run", bundle, "--json", stdin=texts + texts).stdout
            child = subprocess.Popen([str(FATHOM), "run", str(bundle), "--json", "--weights", how], stdin=subprocess.PIPE,
                                     stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            child.stdin.write(texts)
            child.stdin.flush()
            for _ in range(32):
                child.stdout.readline()
            for name in bundle.glob("*"):
                if name.suffix != ".json":
                    os.truncate(name, 0)
            rest, talk = child.communicate(texts)
            if how == "copy":
                self.assertEqual(child.returncode, 0, talk)
                self.assertEqual(rest, first[len(first) // 2:])
            else:
                self.assertEqual(child.returncode, 1, "an error, not a signal")
                self.assertIn(b"error FTH-102", talk)
                self.assertIn(b"--weights copy", talk)


if __name__ == "__main__":
    unittest.main()
