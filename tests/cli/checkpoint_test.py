"""A Hugging Face folder made adaptive: import, fit --from, eval, certify, info, and that its file keeps every byte."""
import csv
import hashlib
import json
import random
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from program import SOURCE, ProgramTest  # noqa: E402

CHECKPOINT = SOURCE / "tests/parity/checkpoints/bert"
LABELS = ["bad", "so-so", "good"]


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Checkpoint(ProgramTest):
    def data(self):
        """Texts of letters; labels are noise, and no step but the table needs them."""
        draw = random.Random(1)
        folder = self.folder / "data"
        folder.mkdir()
        for part, rows in (("train", 400), ("tune", 220), ("calibrate", 260), ("test", 120)):
            with open(folder / f"{part}.csv", "w", newline="") as file:
                writer = csv.writer(file)
                writer.writerow(["text", "label"])
                for _ in range(rows):
                    words = ["".join(draw.choice("abcdefghij") for _ in range(draw.randint(1, 3))) for _ in range(draw.randint(1, 6))]
                    writer.writerow([" ".join(words), draw.choice(LABELS)])
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

        certified = json.loads(self.good("certify", model, "--delta", "0.4", "--json").stdout)
        self.assertTrue(certified["certified"])
        self.assertEqual(certified["n"], 260)
        self.assertEqual(json.loads(self.good("info", model, "--json").stdout)["certificate"]["state"], "holds")
        fathom = json.loads((model / "fathom.json").read_text())
        fathom["policy"]["lambda"] = 0.5
        (model / "fathom.json").write_text(json.dumps(fathom))
        self.assertIn("void", json.loads(self.good("info", model, "--json").stdout)["certificate"]["state"])

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
        self.refused(3, "zero bytes", "fit", "--from", CHECKPOINT, "--data", lines, "-o", self.folder / "few")

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
