"""Files that lie: positions past their tensor, NaN weights, hostile JSON, what is no file. One message, exit code 3."""
import json
import math
import os
import resource
import struct
import subprocess
import sys
import unittest
import shutil
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from program import FATHOM, SOURCE, ProgramTest, run  # noqa: E402

CHECKPOINTS = SOURCE / "tests/parity/checkpoints"


class HostileFiles(ProgramTest):
    def checkpoint(self, family="bert"):
        folder = self.folder / "checkpoint"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(CHECKPOINTS / family, folder)
        return folder

    def cpu(self, *arguments):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = run(*arguments)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return done, after.ru_utime - before.ru_utime

    def change(self, path, change):
        read = json.loads(path.read_text())
        change(read)
        path.write_text(json.dumps(read))

    def test_positions_past_their_tensor(self):
        bundle = self.folder / "b"
        self.good("import", self.checkpoint(), "-o", bundle)
        text = (bundle / "fathom.json").read_text()
        for key, value in (("max_tokens", 65536), ("first_position", 1024), ("first_position", 20)):
            for packed in bundle.glob("packed*"):
                packed.unlink()
            fathom = json.loads(text)
            fathom["model"]["spec" if key == "max_tokens" else "names"][key] = value
            (bundle / "fathom.json").write_text(json.dumps(fathom))
            self.refused(3, "position_embeddings|sha256", "run", bundle, "hello")
            del fathom["sha256"]
            (bundle / "fathom.json").write_text(json.dumps(fathom))
            self.refused(3, "position_embeddings", "run", bundle, "hello")
            self.refused(3, "position_embeddings", "info", bundle)

    def test_weights_that_are_no_numbers_do_not_pass_parity(self):
        folder = self.checkpoint()
        data = bytearray((folder / "model.safetensors").read_bytes())
        length = struct.unpack("<Q", data[:8])[0]
        begin, end = json.loads(data[8:8 + length])["classifier.weight"]["data_offsets"]
        for at in range(begin, end, 4):
            data[8 + length + at:12 + length + at] = struct.pack("<f", math.nan)
        (folder / "model.safetensors").write_bytes(data)
        self.refused(3, "finite|number", "import", folder, "--check")

    def test_what_came_instead_of_weights(self):
        folder = self.checkpoint()
        weights = folder / "model.safetensors"
        for text, says, hint in ((b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "git lfs pointer", "git lfs pull"),
                                 (b"<!DOCTYPE html><html>", "web page", "download"), (b"", "empty", "")):
            weights.write_bytes(text)
            self.assertIn(hint, self.refused(3, says, "import", folder, "--check"))
        (folder / "config.json").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
        self.refused(3, "git lfs pointer", "import", folder, "--check")

    def test_headers_need_no_alignment(self):
        folder = self.checkpoint()
        weights = folder / "model.safetensors"
        whole = weights.read_bytes()
        length = struct.unpack("<Q", whole[:8])[0]
        for spaces in (1, 2, 3):
            weights.write_bytes(struct.pack("<Q", length + spaces) + whole[8:8 + length] + b" " * spaces + whole[8 + length:])
            self.good("import", folder, "--check")  # its reference.json agrees

    def test_objects_of_many_keys_take_time_of_their_length(self):
        folder = self.checkpoint()
        took = []
        for count in (25000, 50000, 100000):
            self.change(folder / "config.json", lambda config: config.update({f"k{i:07d}": 0 for i in range(count)}))
            done, seconds = self.cpu("import", folder, "--check")
            self.assertIn(done.returncode, (0, 3))
            took.append(seconds)
        self.assertLess(took[2], 8 * took[0] + 1.0, took)

    def test_messages_are_safe_for_terminals(self):
        folder = self.checkpoint()
        self.change(folder / "config.json", lambda config: config.update(model_type="\x1b]0;owned\x07"))
        done = run("import", folder, "--check")
        self.assertEqual(done.returncode, 3)
        self.assertNotIn(b"\x1b", done.stderr + done.stdout)
        folder = self.checkpoint()
        self.change(folder / "tokenizer.json", lambda read: read["model"].update(unk_token="A" * 10_000_000))
        done = run("import", folder, "--check")
        self.assertIn(done.returncode, (0, 3))
        self.assertLess(len(done.stderr + done.stdout), 5000)
        folder = self.checkpoint()
        self.change(folder / "config.json", lambda config: config.update(hidden_act="\x1b[2J" + "A" * 10_000_000))
        done = run("import", folder, "--check")
        self.assertEqual(done.returncode, 3)
        self.assertNotIn(b"\x1b", done.stderr)
        self.assertLess(len(done.stderr + done.stdout), 5000)

    def test_bytes_behind_a_nul_and_deep_nesting(self):
        for name in ("config.json", "tokenizer.json", "reference.json"):
            folder = self.checkpoint()
            text = (folder / name).read_bytes()
            for bad in (text + b"\0{}", text[:-2] + b"\0" + text[-2:], b"[" * 100_000, b'{"a":' * 70 + b"1" + b"}" * 70, b'{"a":1e999}'):
                (folder / name).write_bytes(bad)
                self.refused(3, name.replace(".", r"\."), "import", folder, "--check")

    def test_values_of_another_kind_in_every_json(self):
        bundle = self.bundle()
        whole = {name: (bundle / name).read_text() for name in ("fathom.json", "config.json", "tokenizer.json")}
        first = json.loads(whole["fathom.json"])
        del first["sha256"]
        values = (None, True, -1, 1e300, "x", [], {}, [{}])
        for key in [*first, "certificate", "provenance", "operating_points", "budget_table", "model", "data", "precision"]:
            for value in values:
                (bundle / "fathom.json").write_text(json.dumps({**first, key: value}))
                for verb in (("info", bundle), ("run", bundle, "fox")):
                    done = run(*verb)
                    self.assertIn(done.returncode, (0, 3), f"{verb} {key}={value}: {done.stderr.decode()}")

    def test_what_is_no_file(self):
        bundle = self.bundle()
        for name in ("fathom.json", "config.json", "tokenizer.json", "model.safetensors"):
            whole = (bundle / name).read_bytes()
            (bundle / name).unlink()
            self.refused(3, name.replace(".", r"\."), "run", bundle, "fox")
            os.mkfifo(bundle / name)
            self.refused(3, name.replace(".", r"\."), "run", bundle, "fox")
            (bundle / name).unlink()
            (bundle / name).mkdir()
            self.refused(3, name.replace(".", r"\."), "run", bundle, "fox")
            (bundle / name).rmdir()
            (bundle / name).write_bytes(whole)
        self.good("run", bundle, "fox")

    def test_a_limit_on_file_sizes_kills_no_run_and_leaves_no_litter(self):
        bundle = self.bundle()
        done = subprocess.run(["bash", "-c", f"ulimit -f 10; exec '{FATHOM}' run '{bundle}' fox"], capture_output=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.good("run", bundle, "fox")
        self.assertEqual([p.name for p in bundle.iterdir() if ".tmp-" in p.name], [])


if __name__ == "__main__":
    unittest.main()
