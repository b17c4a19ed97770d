"""A Hugging Face folder made adaptive: import, fit --from (layers frozen, trained, new), eval, certify, info."""
import csv
import hashlib
import json
import random
import shutil
import signal
import struct
import subprocess
import sys
import time
import unittest
import zlib
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from program import FATHOM, SOURCE, ProgramTest, run  # noqa: E402

CHECKPOINT = SOURCE / "tests/parity/checkpoints/bert"
PICTURES = SOURCE / "tests/parity/checkpoints/vit"
LABELS = ["bad", "so-so", "good"]


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def read_tensors(path):
    """{name: (shape, bytes)} of a float32 safetensors file."""
    raw = path.read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8:8 + length])
    return {n: (t["shape"], raw[8 + length + t["data_offsets"][0]:8 + length + t["data_offsets"][1]]) for n, t in header.items() if n != "__metadata__"}


def write_tensors(path, tensors):
    header, at = {}, 0
    for name, (shape, data) in tensors.items():
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [at, at + len(data)]}
        at += len(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(data for _, data in tensors.values()))


def png(width, height, pixels):
    """RGB bytes as a PNG file."""
    def chunk(name, body):
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
    rows = b"".join(b"\0" + bytes(pixels[3 * width * y:3 * width * (y + 1)]) for y in range(height))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) +
            chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def layer_matrices(bundle):
    """[(shape, values)] of the layers' maps."""
    return [(shape, struct.unpack(f"<{len(data) // 4}f", data)) for name, (shape, data) in read_tensors(bundle / "model.safetensors").items()
            if "encoder.layer" in name and name.endswith(".weight") and "LayerNorm" not in name]


class Checkpoint(ProgramTest):
    def data(self, rule=None):
        """Texts of letters; by default labels are noise, and no step but the table needs them."""
        draw = random.Random(1)
        rule = rule or (lambda words: draw.choice(LABELS))
        folder = self.folder / "data"
        folder.mkdir()
        for part, rows in (("train", 400), ("tune", 220), ("calibrate", 260), ("test", 120)):
            with open(folder / f"{part}.csv", "w", newline="") as file:
                writer = csv.writer(file)
                writer.writerow(["text", "label"])
                for _ in range(rows):
                    words = ["".join(draw.choice("abcdefghij") for _ in range(draw.randint(1, 3))) for _ in range(draw.randint(1, 6))]
                    writer.writerow([" ".join(words), rule(words)])
        return folder

    def test_the_whole_way(self):
        data, model = self.data(), self.folder / "m"
        fit = ("fit", "--from", CHECKPOINT, "--data", data, "--task", "text-classification", "--max-tokens", "16", "-o", model,
               "--max-disagreement", "0.05", "--threads", "1")
        self.good(*fit)
        for name in ("model.safetensors", "config.json", "tokenizer.json"):
            self.assertEqual(sha256(model / name), sha256(CHECKPOINT / name), name)
        before = json.loads(self.good("info", model, "--json", "--verify").stdout)
        self.assertEqual(before["provenance"]["recipe"], "frozen")
        self.assertEqual(before["tokens"], 16)

        again = self.good(*fit)
        self.assertIn(b"already fitted", again.stderr)
        self.assertEqual(json.loads(self.good("info", model, "--json").stdout)["checksum"], before["checksum"])

        answer = self.json_lines(self.good("run", model, "--json", "abc de f"))[0]
        self.assertIn(answer["label"], LABELS)
        plain = self.folder / "plain"
        self.good("import", CHECKPOINT, "-o", plain)
        with open(data / "test.csv", newline="") as file:
            texts = [row["text"] for row in csv.DictReader(file)][:60]
        full = self.json_lines(self.good("run", model, "--json", "--full-depth", *texts))
        static = self.json_lines(self.good("run", plain, "--json", *texts))
        self.assertEqual([a["label"] for a in full], [a["label"] for a in static], "full depth is the checkpoint")
        self.assertGreater(len({a["label"] for a in full}), 1)

        table = json.loads(self.good("eval", model, "--json", "--no-times", "--no-memory").stdout)
        systems = {s["name"]: s for s in table["systems"]}
        self.assertEqual(systems["base"]["value"], systems["full_depth"]["value"])
        self.assertTrue(all(c["labels"] == 0 and c["depths"] == 0 for c in table["engine_check"]))

        nameless = self.folder / "nameless"
        shutil.copytree(CHECKPOINT, nameless)
        config = json.loads((nameless / "config.json").read_text())
        config["id2label"] = {str(i): f"LABEL_{i}" for i in range(3)}
        config["label2id"] = {f"LABEL_{i}": i for i in range(3)}
        (nameless / "config.json").write_text(json.dumps(config))
        self.good("import", nameless, "-o", self.folder / "nameless_bundle")
        rivals = ("--rival", f"plain={plain}", "--rival", f"nameless={self.folder / 'nameless_bundle'}")
        table = json.loads(self.good("eval", model, "--json", "--timing-seconds", "1", "--base", plain, *rivals).stdout)
        others = {s["name"]: s for s in table["systems"]}
        with open(data / "test.csv", newline="") as file:
            rows = list(csv.DictReader(file))
        answers = self.json_lines(self.good("run", plain, "--json", *[row["text"] for row in rows]))
        right = sum(answer["label"] == row["label"] for answer, row in zip(answers, rows))
        for name in ("base", "plain", "nameless"):
            self.assertAlmostEqual(others[name]["value"], right / len(rows), msg=name)
            self.assertGreater(others[name]["ms_batch1"], 0, name)
            self.assertGreater(others[name]["peak_mb"], 0, name)
        self.assertFalse(others["base"]["same_trunk"])
        self.assertEqual(others["plain"]["difference"], 0)
        for key in ("value", "macs"):
            self.assertEqual(others["fathom"][key], systems["fathom"][key], "rivals change no other row")
        self.refused(2, "NAME=BUNDLE", "eval", model, "--rival", str(plain))
        self.refused(2, "already has a row", "eval", model, "--rival", f"early_exit={plain}")
        self.refused(1, "nowhere", "eval", model, "--rival", f"student={self.folder / 'nowhere'}")

        certified = json.loads(self.good("certify", model, "--delta", "0.4", "--json", "--groups", "class").stdout)
        self.assertEqual((certified["groups_by"], [g["name"] for g in certified["groups"]]), ("label", LABELS))
        self.assertEqual(sum(g["n"] for g in certified["groups"]), 260)
        self.assertEqual(json.loads(self.good("info", model, "--json").stdout)["certificate"]["groups"], certified["groups"])
        self.assertIn(b"certificate.group", self.good("info", model).stdout)
        short = run("certify", model, "--delta", "0.03", "--groups", "length")
        self.assertEqual(short.returncode, 5)
        self.assertRegex(short.stdout.decode(), "group '1 to [0-9]+ tokens' has [0-9]+ inputs; at least 99 are needed")
        certified = json.loads(self.good("certify", model, "--delta", "0.4", "--json").stdout)
        self.assertTrue(certified["certified"])
        self.assertEqual(certified["n"], 260)
        self.assertNotIn("groups", certified)
        self.assertEqual(json.loads(self.good("info", model, "--json").stdout)["certificate"]["state"], "holds")
        fathom = json.loads((model / "fathom.json").read_text())
        fathom["policy"]["lambda"] = 0.5
        (model / "fathom.json").write_text(json.dumps(fathom))
        self.assertIn("void", json.loads(self.good("info", model, "--json").stdout)["certificate"]["state"])

    def test_layers_in_fewer_bits(self):
        data, model = self.data(), self.folder / "m"
        self.good("fit", "--from", CHECKPOINT, "--data", data, "--max-tokens", "16", "-o", model, "--max-disagreement", "0.05")
        self.good("certify", model, "--delta", "0.4")
        before = {p.name: sha256(p) for p in model.iterdir() if p.is_file()}
        for precision in ("bf16", "int8"):
            out = self.folder / precision
            done = self.good("compress", model, "--precision", precision, "-o", out, "--json", "--timing-seconds", "1")
            self.assertIn(b"fathom certify", done.stderr)
            report = json.loads(done.stdout)
            rows = {s["name"]: s for s in report["systems"]}
            self.assertEqual(set(rows), {f"{p} {s}" for p in ("fp32", precision) for s in ("full_depth", "fathom")})
            self.assertEqual(rows["fp32 full_depth"]["agreement"], 1)
            self.assertGreaterEqual(rows[f"{precision} full_depth"]["agreement"], 0.9, "random weights")
            self.assertGreater(rows[f"{precision} fathom"]["ms_batch1"], 0)
            small, large = (next(b for b in report["bundles"] if b["name"] == p) for p in (precision, "fp32"))
            self.assertLess(small["file_mb"], large["file_mb"])
            self.assertLess(small["weights_mb"], large["weights_mb"])
            facts = json.loads(self.good("info", out, "--json", "--verify").stdout)
            self.assertEqual((facts["precision"], "certificate" in facts), (precision, False))
            self.assertIn("fathom", facts["operating_points"])
            self.assertIn("packed." + precision, next(iter(facts["packed"])))
            self.json_lines(self.good("run", out, "--json", "--budget", "macs=90%", "abc de"))
            table = json.loads(self.good("eval", out, "--base", model, "--json", "--no-times", "--no-memory").stdout)
            self.assertTrue(all(c["labels"] == 0 and c["depths"] == 0 for c in table["engine_check"]))
            self.assertEqual(json.loads(self.good("certify", out, "--delta", "0.4", "--json").stdout)["certified"], True)
            self.assertEqual(json.loads(self.good("info", out, "--json").stdout)["certificate"]["precision"], precision)
            self.refused(3, "compressed already", "compress", out, "--precision", "int8", "-o", self.folder / "twice")
        self.assertEqual({p.name: sha256(p) for p in model.iterdir() if p.name in before}, before, "the input is not touched")
        self.refused(2, "into itself", "compress", model, "--precision", "int8", "-o", model)
        self.refused(2, "precision", "compress", model, "--precision", "int3", "-o", self.folder / "no")
        shutil.rmtree(data)
        self.refused(1, "no such folder", "compress", model, "--precision", "int8", "-o", self.folder / "no")
        self.assertFalse((self.folder / "no").exists())

    def test_fewer_heads_and_neurons(self):
        data, model = self.data(), self.folder / "m"
        self.good("fit", "--from", CHECKPOINT, "--data", data, "--max-tokens", "16", "-o", model, "--max-disagreement", "0.05")
        before = {p.name: sha256(p) for p in model.iterdir() if p.is_file()}
        for precision, name in (("", "smaller fp32"), ("int8", "smaller int8")):
            out = self.folder / ("pruned" + precision)
            flags = ("--precision", precision) if precision else ()
            done = self.good("compress", model, "--prune", "heads=50%,ffn=0.25", *flags, "-o", out, "--json", "--timing-seconds", "1")
            self.assertRegex(done.stderr.decode(), r"2 -> 1 heads, 48 -> 36 neurons")
            report = json.loads(done.stdout)
            rows = {s["name"]: s for s in report["systems"]}
            self.assertLess(rows[name + " full_depth"]["macs"], rows["fp32 full_depth"]["macs"])
            small, large = (next(b for b in report["bundles"] if b["name"] == n) for n in (name, "fp32"))
            self.assertLess(small["weights_mb"], large["weights_mb"])
            facts = json.loads(self.good("info", out, "--json", "--verify").stdout)
            self.assertIn("fathom", facts["operating_points"])
            table = json.loads(self.good("eval", out, "--base", model, "--json", "--no-times", "--no-memory").stdout)
            self.assertTrue(all(c["labels"] == 0 and c["depths"] == 0 for c in table["engine_check"]))
            self.assertFalse((self.folder / ("pruned" + precision + ".part")).exists())
        again = self.folder / "again"
        for _ in range(2):  # the second time over the first
            self.good("compress", model, "--prune", "heads=50%,ffn=0.25", "-o", again, "--timing-seconds", "1")
            for name in ("model.safetensors", "config.json", "fathom.safetensors"):
                self.assertEqual(sha256(again / name), sha256(self.folder / "pruned" / name), name)
        self.assertEqual({p.name: sha256(p) for p in model.iterdir() if p.name in before}, before, "the input is not touched")
        no = self.folder / "no"
        self.refused(2, "nothing to do", "compress", model, "-o", no)
        for wrong, words in (("layers=50%", "cannot be pruned"), ("heads", "no number"), ("heads=x", "no number"), ("ffn=100%", "below 100 %"),
                             ("ffn=-1", "below 100 %"), ("heads=1%", "nothing would go")):
            self.refused(2, words, "compress", model, "--prune", wrong, "-o", no)
        self.refused(2, "into itself", "compress", model, "--prune", "heads=50%", "-o", model)
        self.assertFalse(no.exists() or (self.folder / "no.part").exists())

    def test_single_weights_are_set_to_zero(self):
        data, model = self.data(), self.folder / "m"
        self.good("fit", "--from", CHECKPOINT, "--data", data, "--max-tokens", "16", "-o", model, "--max-disagreement", "0.05")

        def zeros(bundle):
            matrices = layer_matrices(bundle)
            return sum(values.count(0.0) for _, values in matrices) / sum(len(values) for _, values in matrices)

        for name, flags, share in (("half", "weights=50%", 0.5), ("two", "weights=2:4", 0.5), ("most", "ffn=25%,weights=80%", 0.8)):
            done = self.good("compress", model, "--prune", flags, "-o", self.folder / name, "--json", "--timing-seconds", "1")
            self.assertRegex(done.stderr.decode(), "% of the layers' weights are zero; .*neither memory nor time changes")
            self.assertAlmostEqual(zeros(self.folder / name), share, 2)
            report = json.loads(done.stdout)
            self.assertAlmostEqual(report["steps"]["zeros"]["zeros"], share, 2)
        rows = {s["name"]: s for s in json.loads(self.good("compress", model, "--prune", "weights=50%", "--precision", "int8", "-o", self.folder / "int8", "--json", "--timing-seconds", "1").stdout)["systems"]}
        self.assertEqual(rows["with zeros, int8 full_depth"]["macs"], rows["fp32 full_depth"]["macs"])
        self.good("compress", model, "--prune", "weights=2:4", "--tune", "3", "-o", self.folder / "tuned", "--timing-seconds", "1")
        self.assertEqual(zeros(self.folder / "tuned"), zeros(self.folder / "two"), "training leaves zeros alone")
        self.assertNotEqual(sha256(self.folder / "tuned/model.safetensors"), sha256(self.folder / "two/model.safetensors"))
        no = self.folder / "no"
        for wrong, words in (("weights=1:4", "neither a share nor 2:4"), ("weights=100%", "below 100 %"), ("weights", "neither a share nor 2:4"), ("weights=0", "nothing to do")):
            self.refused(2, words, "compress", model, "--prune", wrong, "-o", no)
        self.refused(2, "zeros in the factors", "compress", model, "--prune", "weights=50%", "--fold", "f1=16", "-o", no)
        self.assertFalse(no.exists() or (self.folder / "no.part").exists())

    def test_weights_become_zero_while_they_are_trained(self):
        data, model = self.data(), self.folder / "m"
        self.good("fit", "--from", CHECKPOINT, "--data", data, "--max-tokens", "16", "-o", model, "--max-disagreement", "0.05")
        before = {p.name: sha256(p) for p in model.iterdir() if p.is_file()}
        made = {}
        for name, flags in (("gradual", "weights=50%,gradual"), ("movement", "weights=50%,movement"), ("two", "weights=2:4,gradual"), ("both", "ffn=50%,weights=2:4,movement")):
            out = self.folder / name
            command = ("compress", model, "--prune", flags, "--tune", "3", "--timing-seconds", "1")
            done = self.good(*command, "-o", out, "--json")
            self.assertRegex(done.stderr.decode(), "50.0 % of the layers' weights are zero.*neither memory nor time changes")
            self.assertNotIn("of the outputs' variance", done.stderr.decode(), "nothing goes before training")
            made[name] = layer_matrices(out)
            for (rows, columns), values in made[name]:
                self.assertEqual(values.count(0.0) * 2, rows * columns, "the exact share of every matrix")
                if "2:4" in flags:
                    self.assertTrue(all(values[at:at + 4].count(0.0) == 2 for at in range(0, len(values), 4)))
            facts = json.loads((out / "fathom.json").read_text())["provenance"]["compressed"]
            self.assertEqual(facts["zeroed"], {"by": "movement" if "movement" in flags else "magnitude", "share": "2:4" if "2:4" in flags else 0.5, "zeros": 0.5})
            self.assertTrue(facts["from"] and facts["tuned"])
            self.good("info", out, "--verify")
            self.good(*command, "--threads", "1", "-o", self.folder / (name + "-again"))
            self.assertEqual(sha256(self.folder / (name + "-again") / "model.safetensors"), sha256(out / "model.safetensors"), "threads change nothing")
        self.assertNotEqual(made["gradual"], made["movement"])
        self.assertEqual({p.name: sha256(p) for p in model.iterdir() if p.name in before}, before, "the input is not touched")
        no = self.folder / "no"
        for wrong, words in (("weights=50%,gradual", "while they are trained"), ("weights=2:4,movement", "while they are trained"), ("ffn=50%,gradual", "none would"), ("weights=50%,movement,gradual", "are two")):
            self.refused(2, words, "compress", model, "--prune", wrong, "-o", no)
        folded = self.folder / "folded"
        self.good("compress", model, "--fold", "f1=16", "-o", folded, "--timing-seconds", "1")
        self.refused(3, "folded maps", "compress", folded, "--prune", "weights=50%,gradual", "--tune", "1", "-o", no)
        self.assertFalse(no.exists())

    def test_int8_is_trained(self):
        data, model = self.data(), self.folder / "m"
        self.good("fit", "--from", CHECKPOINT, "--data", data, "--max-tokens", "16", "-o", model, "--max-disagreement", "0.05")
        command = ("compress", model, "--precision", "int8", "--tune", "5", "--timing-seconds", "1")
        done = self.good(*command, "-o", self.folder / "tuned", "--json")
        self.assertIn("biases stay as they were trained: with the rounding", done.stderr.decode())
        report = json.loads(done.stdout)
        self.assertIn(report["steps"]["tune"]["int8_levels"], (127, 255))
        # What training saw of the tune split is what the engine computes: the share of answers that are the teacher's, to a text or two.
        full = next(s["agreement"] for s in report["systems"] if s["name"] == "int8 full_depth")
        self.assertGreaterEqual(full, 0.95)
        self.assertIn("fathom", json.loads(self.good("info", self.folder / "tuned", "--json", "--verify").stdout)["operating_points"])
        self.good(*command, "--threads", "1", "-o", self.folder / "again")
        self.assertEqual(sha256(self.folder / "again/weights.int8.safetensors"), sha256(self.folder / "tuned/weights.int8.safetensors"))
        no = self.folder / "no"
        self.refused(3, "compressed already", "compress", self.folder / "tuned", "--precision", "int8", "--tune", "1", "-o", no)
        self.assertFalse(no.exists() or (self.folder / "no.part").exists())

    def test_folded_maps_and_narrow_words(self):
        data, model = self.data(), self.folder / "m"
        self.good("fit", "--from", CHECKPOINT, "--data", data, "--max-tokens", "16", "-o", model, "--max-disagreement", "0.05")
        before = {p.name: sha256(p) for p in model.iterdir() if p.is_file()}
        full = {p.name for p in model.iterdir()}
        told = {"fold": (["--fold", "qkv=20,o=0,f1=16,f2=0"], "smaller fp32", r"folded f1 48 x 32: rank 16, .*pays below 20"),
                "energy": (["--fold", "30%"], "smaller fp32", r"folded qkv 96 x 32: rank 16"),
                "shared": (["--fold", "f1=16,shared"], "smaller fp32", r"folded f1 48 x 32: rank 16"),
                "unseen": (["--fold", "f1=16,weights"], "smaller fp32", "of its squares"),
                "words": (["--word-width", "50%"], "smaller fp32", "word rows of 32 -> 16 values"),
                "compact": (["--preset", "compact"], "smaller int8", "48 -> 24 neurons"),
                "other": (["--preset", "compact", "--prune", "heads=50%", "--fold", "f1=12"], "smaller int8", "2 -> 1 heads, 48 -> 48 neurons")}
        for out, (flags, name, words) in told.items():
            done = self.good("compress", model, *flags, "-o", self.folder / out, "--json", "--timing-seconds", "1")
            self.assertRegex(done.stderr.decode(), words)
            report = json.loads(done.stdout)
            rows = {s["name"]: s for s in report["systems"]}
            self.assertGreaterEqual(rows[name + " full_depth"]["agreement"], 0.5, out)
            self.assertTrue(report["steps"], out)
            facts = json.loads(self.good("info", self.folder / out, "--json", "--verify").stdout)
            self.assertIn("fathom", facts["operating_points"])
            table = json.loads(self.good("eval", self.folder / out, "--base", model, "--json", "--no-times", "--no-memory").stdout)
            self.assertTrue(all(c["labels"] == 0 and c["depths"] == 0 for c in table["engine_check"]))
            self.assertFalse((self.folder / (out + ".part")).exists())
        self.assertIn(b"qkv rank 20, f1 rank 16", self.good("info", self.folder / "fold").stdout)
        self.assertIn(b"first factors shared", self.good("info", self.folder / "shared").stdout)
        self.assertIn(b"word rows of 16", self.good("info", self.folder / "words").stdout)
        self.good("compress", model, "--preset", "compact", "-o", self.folder / "again", "--timing-seconds", "1")
        for name in ("weights.int8.safetensors", "config.json", "fathom.safetensors"):
            self.assertEqual(sha256(self.folder / "again" / name), sha256(self.folder / "compact" / name), name)
        self.assertEqual({p.name: sha256(p) for p in model.iterdir() if p.name in before}, before, "the input is not touched")
        self.assertEqual(full, {p.name for p in model.iterdir()})
        no = self.folder / "no"
        for wrong, words in (("x", "neither a share"), ("100%", "between 0 and 100"), ("f1", "neither a share"), ("f1=1.5", "no rank"), ("f1=90", "more than the map has"),
                             ("f3=2", "neither a share"), ("shared", "no share and no rank"), ("99.99%", "would not pay"), ("qkv=0", "no share and no rank")):
            self.refused(2, words, "compress", model, "--fold", wrong, "-o", no)
        for wrong, words in (("100%", "neither a number"), ("1.5", "neither a number"), ("x", "neither a number"), ("32", "not narrower")):
            self.refused(2, words, "compress", model, "--word-width", wrong, "-o", no)
        self.refused(2, "compact", "compress", model, "--preset", "tiny", "-o", no)
        self.refused(3, "folded maps already", "compress", self.folder / "fold", "--fold", "f2=4", "-o", no)
        self.refused(3, "folded maps: their inputs", "compress", self.folder / "fold", "--prune", "ffn=50%", "-o", no)
        self.assertFalse(no.exists() or (self.folder / "no.part").exists())

    def test_smaller_layers_are_tuned(self):
        data, model = self.data(), self.folder / "m"
        self.good("fit", "--from", CHECKPOINT, "--data", data, "--max-tokens", "16", "-o", model, "--max-disagreement", "0.05")
        before = {p.name: sha256(p) for p in model.iterdir() if p.is_file()}
        small = ["--word-width", "25%", "--prune", "heads=50%,ffn=50%", "--fold", "f1=6"]
        tuned = ["compress", model, *small, "--tune", "30", "--timing-seconds", "1"]
        agreement = {}
        for out, flags in (("plain", []), ("tuned", ["--tune", "30"]), ("int8", ["--tune", "30", "--precision", "int8"])):
            done = self.good("compress", model, *small, *flags, "-o", self.folder / out, "--json", "--timing-seconds", "1")
            report = json.loads(done.stdout)
            agreement[out] = next(s["agreement"] for s in report["systems"] if s["name"].startswith("smaller") and not s["adaptive"])
            if not flags:
                continue
            self.assertRegex(done.stderr.decode(), r"answers on tune that are the teacher's: [0-9.]+ % -> [0-9.]+ %")
            self.assertNotIn("int8_levels", report["steps"]["tune"], "what becomes smaller is trained before it is rounded")
            first, last = report["steps"]["tune"]["agreement"]
            self.assertGreater(last, first)
            self.assertIn("fathom", json.loads(self.good("info", self.folder / out, "--json", "--verify").stdout)["operating_points"])
            table = json.loads(self.good("eval", self.folder / out, "--base", model, "--json", "--no-times", "--no-memory").stdout)
            self.assertTrue(all(c["labels"] == 0 and c["depths"] == 0 for c in table["engine_check"]))
            self.assertFalse((self.folder / (out + ".part")).exists())
        self.assertGreater(agreement["tuned"], agreement["plain"])
        self.assertGreater(agreement["int8"], agreement["plain"])

        def files(out):
            return [sha256(out / name) for name in ("model.safetensors", "config.json", "fathom.safetensors")]
        wanted = files(self.folder / "tuned")
        self.good(*tuned, "--threads", "1", "-o", self.folder / "again")
        self.assertEqual(files(self.folder / "again"), wanted, "threads change nothing")
        stopped = self.folder / "stopped"
        process = subprocess.Popen([str(word) for word in (FATHOM, *tuned, "-o", stopped)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and not list((self.folder / "stopped.part").glob("training/*/trunk.ckpt")):
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(120), 130, "it was interrupted while it trained")
        self.assertFalse(stopped.exists())
        other = self.folder / "other"  # another training's state is not in the way of this one's
        shutil.copytree(self.folder / "stopped.part", self.folder / "other.part")
        self.good("compress", model, *small, "--tune", "1", "-o", other, "--timing-seconds", "1")
        self.assertFalse((self.folder / "other.part").exists())
        told = self.good(*tuned, "-o", stopped).stderr.decode()
        self.assertIn("training goes on from step", told)
        self.assertEqual(files(stopped), wanted, "an interruption changes nothing")
        self.assertFalse((self.folder / "stopped.part").exists())
        self.assertEqual({p.name: sha256(p) for p in model.iterdir() if p.name in before}, before, "the input is not touched")
        # An import that was never fitted records no data: what is named is read as its kind of model reads it.
        plain, small_plain = self.folder / "imported", self.folder / "small-imported"
        self.good("import", CHECKPOINT, "-o", plain)
        self.good("compress", plain, "--prune", "ffn=50%", "--tune", "3", "--data", data, "-o", small_plain, "--timing-seconds", "1")
        self.assertEqual(json.loads((small_plain / "fathom.json").read_text())["model"]["spec"]["ffn"], 48 // 2)
        for flags in (["--prune", "ffn=50%"], ["--word-width", "50%", "--tune", "3"]):
            self.refused(2, "this bundle knows none", "compress", plain, *flags, "-o", self.folder / "no")
        no = self.folder / "no"
        self.refused(2, "nothing would", "compress", model, "--tune", "3", "--precision", "bf16", "-o", no)
        for wrong in ("0", "x", "5%", "-1", "1e9"):
            self.refused(2, "no number of passes", "compress", model, "--word-width", "50%", "--tune", wrong, "-o", no)
        self.assertFalse(no.exists() or (self.folder / "no.part").exists())

    def test_searching_for_a_target(self):
        data, model, out = self.data(), self.folder / "m", self.folder / "small"
        trail = self.folder / "small.trail.json"
        self.good("fit", "--from", CHECKPOINT, "--data", data, "--max-tokens", "16", "-o", model, "--max-disagreement", "0.05")
        done = self.good("compress", model, "--target", "mb=1000", "-o", out, "--json", "--timing-seconds", "1").stderr.decode()
        self.assertRegex(done, "tried 1 of [0-9]+ --precision bf16: [0-9.]+ % of answers kept")
        self.assertIn("taken: ", done)
        tried = json.loads(trail.read_text())["tried"]
        self.assertGreaterEqual(len(tried), 3, "two in a row that keep fewer end the search, not one")
        self.assertTrue(all(set(one) == {"flags", "agreement", "ms", "peak_mb", "file_mb"} for one in tried))
        taken = max(tried, key=lambda one: one["agreement"])
        self.assertIn("taken: " + taken["flags"], done)
        self.good("info", out, "--verify")
        # The trail is what a choice is made by: another one, another bundle, and nothing is measured again.
        facts = json.loads(trail.read_text())
        for one in facts["tried"]:
            one["agreement"], one["ms"] = (1.0, 3.0) if one["flags"] == "--prune ffn=25% --precision int8" else (0.9, 9.0)
        trail.write_text(json.dumps(facts))
        told = self.good("compress", model, "--target", "ms=4", "-o", out, "--timing-seconds", "1").stderr.decode()
        self.assertIn("taken: --prune ffn=25% --precision int8", told)
        self.assertIn("tried 1 of", told)
        self.assertIn("(from the trail)", told)
        again = self.folder / "again"
        self.good("compress", model, "--prune", "ffn=25%", "--precision", "int8", "-o", again, "--timing-seconds", "1")
        for name in ("weights.int8.safetensors", "config.json", "fathom.safetensors"):
            self.assertEqual(sha256(again / name), sha256(out / name), name)
        # What was taken is trained, where it became smaller.
        facts["tried"] = [one | {"agreement": 1.0 if one["flags"].startswith("--prune") else 0.5} for one in facts["tried"]]
        trail.write_text(json.dumps(facts))
        self.good("compress", model, "--target", "mb=1000", "--tune", "3", "-o", out, "--timing-seconds", "1")
        self.assertIn("tuned", json.loads((out / "fathom.json").read_text())["provenance"]["compressed"])
        facts["tried"] = [one | {"agreement": 0.5 if one["flags"].startswith("--prune") else 1.0} for one in facts["tried"]]
        trail.write_text(json.dumps(facts))
        told = self.good("compress", model, "--target", "mb=1000", "--tune", "3", "-o", out, "--timing-seconds", "1").stderr.decode()
        self.assertIn("there is nothing to train", told)
        no = self.folder / "no"
        self.refused(2, "is no number of passes", "compress", model, "--target", "mb=9", "--tune", "x", "-o", no)
        self.refused(4, "nothing that was tried meets ms=0.0001", "compress", model, "--target", "ms=0.0001", "-o", no, "--trail", trail)
        self.refused(2, "neither milliseconds nor megabytes", "compress", model, "--target", "macs=50%", "-o", no)
        self.refused(2, "no number", "compress", model, "--target", "mb=x", "-o", no)
        self.refused(2, "exclude", "compress", model, "--target", "mb=9", "--prune", "ffn=25%", "-o", no)
        facts["of"]["bundle"] = "other"
        trail.write_text(json.dumps(facts))
        self.refused(2, "no trail of this bundle", "compress", model, "--target", "mb=9", "-o", no, "--trail", trail)
        trail.write_text(json.dumps({"of": 1}))
        self.refused(2, "no trail of this bundle", "compress", model, "--target", "mb=9", "-o", no, "--trail", trail)
        trail.write_text("{")
        self.refused(3, "trail.json", "compress", model, "--target", "mb=9", "-o", no, "--trail", trail)
        self.assertFalse(no.exists() or (self.folder / "no.part").exists())

    def test_texts_without_labels(self):
        data, model = self.data(), self.folder / "m"
        with open(data / "train.csv", newline="") as file:
            texts = [row["text"] for row in csv.DictReader(file)]
        lines = self.folder / "texts.txt"
        lines.write_text("\n".join(texts * 5) + "\n\n")
        fit = ("fit", "--from", CHECKPOINT, "--data", lines, "-o", model, "--max-tokens", "16", "--max-disagreement", "0.05")
        self.assertIn(b"2000 texts without labels", self.good(*fit).stderr)
        self.assertEqual(sha256(model / "model.safetensors"), sha256(CHECKPOINT / "model.safetensors"))
        certified = json.loads(self.good("certify", model, "--delta", "0.4", "--json").stdout)
        self.assertEqual(certified["n"], 250)
        self.refused(3, "needs labels", "certify", model, "--loss", "harm")
        self.refused(3, "test split is empty", "eval", model)
        table = json.loads(self.good("eval", model, "--data", data, "--json", "--no-times", "--no-memory").stdout)
        self.assertEqual(table["n_test"], 120)
        lines.write_text("only one\n" * 300)
        self.refused(3, "at least 192", "fit", "--from", CHECKPOINT, "--data", lines, "-o", self.folder / "few")
        lines.write_bytes(b"a\0b\n")
        self.refused(3, "nul byte", "fit", "--from", CHECKPOINT, "--data", lines, "-o", self.folder / "few")

    def pairs(self, most_words):
        """Two texts a row; the answer is in the second one's first word, and the first one has the like to mislead."""
        draw, folder = random.Random(3), self.folder / "pairs"
        folder.mkdir()
        words = lambda: ["".join(draw.choice("abcdefgh") for _ in range(2)) for _ in range(draw.randint(1, most_words))]  # noqa: E731
        for part, count in (("train", 400), ("tune", 220), ("calibrate", 260), ("test", 120)):
            with open(folder / f"{part}.csv", "w", newline="") as file:
                writer = csv.writer(file)
                writer.writerow(["premise", "hypothesis", "label"])
                for _ in range(count):
                    first, second = words(), words()
                    writer.writerow([" ".join(first), " ".join(second), LABELS[0] if second[0][0] < "e" else LABELS[2]])
        return folder

    def test_pairs_of_texts(self):
        data, model = self.pairs(4), self.folder / "m"
        fit = ("fit", "--from", CHECKPOINT, "--max-tokens", "16", "--max-disagreement", "0.05")
        self.good(*fit, "--data", data, "-o", model, "--pairs")
        self.assertTrue(json.loads(self.good("info", model, "--json").stdout)["data"]["pairs"])
        self.assertEqual(json.loads(self.good("eval", model, "--json", "--no-times", "--no-memory").stdout)["n_test"], 120)
        self.good("certify", model, "--delta", "0.4")
        ways = ["abc de\tf gh", "f gh\tabc de"]
        answers = self.json_lines(self.good("run", model, "--json", *ways))
        self.assertEqual([a["input"] for a in answers], ways)
        self.assertNotEqual(answers[0]["confidence"], answers[1]["confidence"], "which text is the first matters")
        joined = self.json_lines(self.good("run", model, "--json", stdin="\n".join(ways).encode()))
        self.assertEqual(joined, answers)
        self.refused(3, "line 2: expected two texts with one tab", "run", model, "--json", stdin=b"a\tb\nab\n")
        self.refused(3, "input 1: .* got 2 tabs", "run", model, "a\tb\tc")
        self.refused(3, "two text columns", *fit, "--data", self.data(), "-o", self.folder / "no", "--pairs")
        self.refused(2, "for texts", "fit", "--from", PICTURES, "--data", data, "-o", self.folder / "no", "--pairs", "--task", "image-classification")
        plain, pictures = self.folder / "plain", self.folder / "vit"
        self.good("import", CHECKPOINT, "-o", plain)
        self.good("import", PICTURES, "-o", pictures)
        full = self.json_lines(self.good("run", model, "--json", "--full-depth", *ways))
        static = self.json_lines(self.good("run", plain, "--json", "--pairs", *ways))
        self.assertEqual([a["label"] for a in static], [a["label"] for a in full])
        self.refused(2, "pictures", "run", pictures, "--pairs", "a\tb")
        lines = self.folder / "pairs.txt"
        with open(data / "train.csv", newline="") as file:
            texts = [f"{row['premise']}\t{row['hypothesis']}\n" for row in csv.DictReader(file)]
        lines.write_text("".join(texts * 5))
        self.assertIn(b"2000 pairs of texts without labels", self.good(*fit, "--data", lines, "-o", self.folder / "unlabelled", "--pairs").stderr)
        lines.write_text("".join(texts) + "no pair\n")
        self.refused(3, "text 401: .* got 0 tabs", *fit, "--data", lines, "-o", self.folder / "no", "--pairs")

    def test_pairs_are_learned(self):
        data, model, own = self.pairs(1), self.folder / "m", self.folder / "own"
        self.good("fit", "--from", self.encoder(), "-o", model, "--epochs", "14", "--data", data, "--pairs", "--max-tokens", "12", "--lr", "0.005",
                  "--threads", "2", "--max-disagreement", "0.05")
        self.assertGreater(self.full_depth_accuracy(model), 0.8, "the second text is found")
        self.good("fit", "--data", data, "-o", own, "--pairs", "--layers", "2", "--hidden", "32", "--heads", "2", "--steps", "300", "--max-disagreement", "0.05")
        self.assertGreater(self.full_depth_accuracy(own), 0.8)
        self.refused(3, "expected two texts", "run", own, "ab cd")

    def test_a_checkpoint_changed_in_place_is_noticed(self):
        data, folder, model = self.data(), self.folder / "source", self.folder / "m"
        shutil.copytree(CHECKPOINT, folder)
        (folder / "reference.json").unlink()
        fit = ("fit", "--from", folder, "--data", data, "-o", model, "--max-tokens", "16", "--max-disagreement", "0.05")
        self.good(*fit)
        self.assertIn(b"already fitted", self.good(*fit).stderr)
        tensors = read_tensors(folder / "model.safetensors")
        shape, bias = tensors["classifier.bias"]
        tensors["classifier.bias"] = (shape, struct.pack("<3f", *(x + 0.5 * i for i, x in enumerate(struct.unpack("<3f", bias)))))
        write_tensors(folder / "model.safetensors", tensors)
        before = sha256(model / "model.safetensors")
        self.refused(2, "another checkpoint", *fit)
        self.refused(2, "other options", *fit, "--seed", "7")
        self.assertEqual(sha256(model / "model.safetensors"), before, "what was fitted is still there")
        self.good("info", model, "--verify")
        shutil.rmtree(model)
        self.good(*fit)
        self.assertEqual(sha256(model / "model.safetensors"), sha256(folder / "model.safetensors"))

    def encoder(self):
        """The checkpoint as it was before fine-tuning: no classifier, no prefix, no classes."""
        folder = self.folder / "encoder"
        shutil.copytree(CHECKPOINT, folder)
        (folder / "reference.json").unlink()
        tensors = {n.removeprefix("bert."): t for n, t in read_tensors(CHECKPOINT / "model.safetensors").items() if not n.startswith("classifier")}
        write_tensors(folder / "model.safetensors", tensors)
        config = json.loads((folder / "config.json").read_text())
        for key in ("id2label", "label2id", "architectures"):
            config.pop(key, None)
        (folder / "config.json").write_text(json.dumps(config))
        return folder

    def full_depth_accuracy(self, model):
        table = json.loads(self.good("eval", model, "--json", "--no-times", "--no-memory").stdout)
        self.assertTrue(all(c["labels"] == 0 and c["depths"] == 0 for c in table["engine_check"]))
        return next(s["value"] for s in table["systems"] if s["name"] == "full_depth")

    def test_layers_are_trained(self):
        data = self.data(lambda words: LABELS[sum(w[0] < "e" for w in words) % 2])
        encoder, model, again = self.encoder(), self.folder / "m", self.folder / "again"
        self.refused(3, "no labels", "fit", "--from", encoder, "--data", self.unlabelled(), "-o", model)
        self.refused(3, "before fine-tuning", "import", encoder, "-o", model)
        rule = lambda words: LABELS[0] if words[0][0] < "e" else LABELS[2]  # noqa: E731
        shutil.rmtree(data)
        data = self.data(rule)
        common = ("--data", data, "--max-tokens", "12", "--threads", "2", "--lr", "0.005", "--max-disagreement", "0.05")
        said = self.good("fit", "--from", encoder, "-o", model, "--epochs", "12", *common).stderr
        self.assertIn(b"no classifier", said)
        self.assertGreater(self.full_depth_accuracy(model), 0.8, "an encoder is fine-tuned")
        facts = json.loads(self.good("info", model, "--json", "--verify").stdout)
        self.assertEqual(facts["provenance"]["recipe"], "plain")
        self.assertEqual(sorted(read_tensors(model / "model.safetensors")), sorted(
            n for n in read_tensors(CHECKPOINT / "model.safetensors")), "a classifier's file of its family")
        self.assertEqual(json.loads((model / "config.json").read_text())["architectures"], ["BertForSequenceClassification"])

        fit = ("fit", "--from", model, "-o", again, "--trunk", "--steps", "40", *common)
        self.good(*fit)
        self.assertNotEqual(sha256(again / "model.safetensors"), sha256(model / "model.safetensors"))
        self.assertGreater(self.full_depth_accuracy(again), 0.8)
        checksum = json.loads(self.good("info", again, "--json").stdout)["checksum"]
        self.assertIn(b"already fitted", self.good(*fit).stderr)
        shutil.rmtree(again)
        self.good(*(a if a != "2" else "1" for a in fit))
        self.assertEqual(json.loads(self.good("info", again, "--json").stdout)["checksum"], checksum, "threads change nothing")

        student = self.folder / "student"
        self.good("fit", "--from", model, "-o", student, "--keep-layers", "0,2", "--epochs", "6", *common)
        self.assertGreater(self.full_depth_accuracy(student), 0.75)
        self.assertEqual(json.loads((student / "config.json").read_text())["num_hidden_layers"], 2)
        self.refused(2, "not in order", "fit", "--from", model, "-o", self.folder / "no", "--keep-layers", "2,0", *common)
        self.refused(2, "of no use", "fit", "--from", model, "-o", self.folder / "no", *common)
        self.refused(2, "--from", "fit", "--trunk", "-o", student, "--data", data)

    def test_layers_are_trained_without_labels(self):
        model = self.folder / "m"
        fit = ("fit", "--from", CHECKPOINT, "--data", self.unlabelled(), "-o", model, "--trunk", "--steps", "20", "--max-tokens", "12", "--max-disagreement", "0.05")
        self.good(*fit)
        facts = json.loads(self.good("info", model, "--json").stdout)
        self.assertEqual(facts["provenance"]["recipe"], "exits")
        self.assertFalse(facts["provenance"]["tuned"]["labels"])
        self.assertGreater(facts["provenance"]["tuned"]["tune_accuracy"], 0.6, "it still answers what it did")

    def unlabelled(self):
        draw = random.Random(2)
        lines = self.folder / "texts.txt"
        lines.write_text("".join("".join(draw.choice("abcdefghij ") for _ in range(12)).strip() + "x\n" for _ in range(1600)))
        return lines

    def test_pictures_without_labels(self):
        draw, folder, model = random.Random(2), self.folder / "pictures", self.folder / "m"
        folder.mkdir()
        for i in range(1600):
            (folder / f"{i:04}.png").write_bytes(png(10, 9, [draw.randrange(256) // (1 + i % 3) for _ in range(10 * 9 * 3)]))
        fit = ("fit", "--from", PICTURES, "--data", folder, "-o", model, "--max-disagreement", "0.05")
        self.refused(3, "no training data found", *fit)
        done = self.good(*fit, "--task", "image-classification")
        self.assertIn(b"1600 pictures without labels", done.stderr)
        self.assertEqual(sha256(model / "model.safetensors"), sha256(PICTURES / "model.safetensors"))
        data = json.loads(self.good("info", model, "--json").stdout)["data"]
        self.assertEqual(data["pictures"], "files")  # each as the model's preprocessing reads it: no size of the data's own
        self.assertNotIn("image_height", data)
        certified = json.loads(self.good("certify", model, "--delta", "0.4", "--json").stdout)
        self.assertEqual(certified["n"], 200)
        self.refused(3, "one length", "certify", model, "--delta", "0.4", "--groups", "length")
        (folder / "0007.png").write_bytes(b"no picture")
        self.refused(3, "0007.png", "certify", model)

    def test_wrong_input(self):
        data = self.data()
        self.refused(1, "no folder", "import", self.folder / "none", "-o", self.folder / "m")
        self.refused(2, "no meaning", "fit", "--from", CHECKPOINT, "--data", data, "-o", self.folder / "m", "--layers", "3")
        self.refused(2, "positions", "fit", "--from", CHECKPOINT, "--data", data, "-o", self.folder / "m", "--max-tokens", "4000")
        plain = self.folder / "plain"
        self.good("import", CHECKPOINT, "-o", plain)
        self.refused(3, "no exits", "eval", plain)
        rows = (data / "test.csv").read_text()
        (data / "test.csv").write_text(rows.replace("so-so", "excellent"))
        self.refused(3, "excellent", "fit", "--from", CHECKPOINT, "--data", data, "-o", self.folder / "m")


if __name__ == "__main__":
    unittest.main()
