"""`fathom run` and `info` on small random bundles: same answer however the input comes, right shapes, right ranges."""
import json
import struct
import sys
import unittest
import zlib
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from program import BINARIES, ProgramTest, run  # noqa: E402

TEXTS = ["the quick brown fox", "pack my box", "jumps over the lazy dog with five dozen jugs", "", "ünïcödé 狐"]


def png(path, size, shade):
    rows = b"".join(b"\0" + bytes((shade * (x + y)) % 256 for x in range(size) for _ in range(3)) for y in range(size))

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)) +
                     chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


class Run(ProgramTest):
    def answers(self, *arguments, **more):
        return self.json_lines(self.good("run", *arguments, "--json", **more))

    def test_one_shape_for_every_way_in(self):
        bundle = self.bundle()
        single = [self.answers(bundle, text)[0] for text in TEXTS]
        self.assertEqual(self.answers(bundle, *TEXTS), single, "a batch answers as each alone")
        lines = "".join(text + "\n" for text in TEXTS).encode()
        self.assertEqual(self.answers(bundle, stdin=lines), single, "stdin")
        (self.folder / "texts.txt").write_bytes(lines)
        self.assertEqual(self.answers(bundle, "--file", self.folder / "texts.txt"), single, "--file")
        self.assertEqual(self.answers(bundle, *TEXTS, "--threads", "1"), self.answers(bundle, *TEXTS, "--threads", "2"), "threads")

    def test_arguments_are_texts_as_they_are(self):
        bundle = self.bundle()
        texts = ["[MASK]", "[good, bad]", "[]", "[", "a=[b]", "50 %", "\x01[x]", "info", "{1,2}", "%%", "'q'"]
        self.assertEqual([a["input"] for a in self.answers(bundle, *texts)], texts)
        last = ["--", "-5 degrees", "--json", "--x=[a]", "[a]"]
        out = self.json_lines(self.good("run", bundle, "--json", *last))
        self.assertEqual([a["input"] for a in out], last[1:])
        odd = self.folder / "[a,b]"
        odd.write_bytes(b"from a file\n")
        self.assertEqual([a["input"] for a in self.answers(bundle, f"--file={odd}")], ["from a file"])

    def test_raw_confidence_is_that_of_the_logits(self):
        for answer in self.answers(self.bundle(), *TEXTS):
            self.assertTrue(1 / 3 <= answer["raw_confidence"] <= 1)

    def test_values_are_in_range(self):
        for answer in self.answers(self.bundle(), *TEXTS):
            self.assertIn(answer["label"], ["calm", "loud", "wild"])
            self.assertTrue(1 / 3 <= answer["confidence"] <= 1)
            self.assertEqual(answer["layers"], 6)
            self.assertEqual(answer["trajectory"], list(range(1, answer["depth"] + 1)))
            self.assertGreater(answer["macs"], 0)
            self.assertLess(answer["decision_macs"], answer["macs"])
            self.assertAlmostEqual(answer["share_of_full"], answer["macs"] / answer["full_macs"])

    def test_lambda_moves_depth(self):
        bundle = self.bundle()
        early = self.answers(bundle, *TEXTS, "--lambda", "0")
        late = self.answers(bundle, *TEXTS, "--lambda", "1.5")
        full = self.answers(bundle, *TEXTS, "--full-depth")
        self.assertEqual({a["depth"] for a in early}, {1})
        self.assertEqual({a["depth"] for a in late}, {6})
        self.assertEqual(late, full, "above 1 is the static model, decision and all")
        for answer in full:
            self.assertEqual((answer["decision_macs"], answer["share_of_full"]), (0, 1))
        undecided = [a for a in self.answers(bundle, *TEXTS, "--lambda", "1") if a["depth"] == 6]
        self.assertTrue(undecided)
        self.assertTrue(all(a["macs"] > a["full_macs"] for a in undecided), "a decision that never stops is counted")

    def test_text_output_draws_the_trajectory(self):
        bundle = self.bundle()
        out = self.good("run", bundle, "the quick fox", "--lambda", "0").stdout.decode()
        self.assertIn("●○○○○○", out)
        self.assertIn("1 of 6 layers", out)
        self.assertIn("●●●●●●", self.good("run", bundle, "the quick fox", "--full-depth").stdout.decode())

    def test_pictures(self):
        bundle = self.bundle("image")
        for i, size in enumerate((16, 40)):
            png(self.folder / f"{i}.png", size, 7 + i)
        paths = [self.folder / "0.png", self.folder / "1.png"]
        answers = self.answers(bundle, *paths)
        self.assertEqual([a["input"] for a in answers], [str(p) for p in paths])
        self.assertEqual(self.answers(bundle, "--file", paths[0], "--file", paths[1]), answers)
        self.refused(1, "none.png", "run", bundle, self.folder / "none.png")
        (self.folder / "bad.png").write_bytes(paths[0].read_bytes()[:60])
        self.refused(3, "bad.png", "run", bundle, self.folder / "bad.png")
        (self.folder / "text.png").write_text("no picture at all")
        self.refused(3, "text.png", "run", bundle, self.folder / "text.png")

    def test_wrong_inputs(self):
        bundle = self.bundle()
        self.refused(3, "no line", "run", bundle, stdin=b"")
        self.refused(1, "nowhere.txt", "run", bundle, "--file", self.folder / "nowhere.txt")
        self.refused(4, "1048576", "run", bundle, stdin=b"x" * (1 << 20) + b"x\n")
        hostile = bytes(range(1, 256)) + b"\xff\xfe fox\n"  # damaged UTF-8 is read, not refused
        self.assertEqual(len(self.answers(bundle, stdin=hostile)), 2)

    def test_info(self):
        bundle = self.bundle()
        told = json.loads(self.good("info", bundle, "--json", "--verify").stdout)
        self.assertEqual(told["labels"], ["calm", "loud", "wild"])
        self.assertTrue(told["checksums_verified"])
        self.assertRegex(told["checksum"], "^[0-9a-f]{64}$")
        self.good("run", bundle, "fox")  # writes packed weights beside it
        self.assertEqual(json.loads(self.good("info", bundle, "--json").stdout)["checksum"], told["checksum"])
        self.assertIn(told["checksum"], self.good("info", bundle).stdout.decode())

    def test_public_example_agrees_with_run(self):
        bundle = self.bundle()
        answer = self.answers(bundle, TEXTS[0])[0]
        done = run(bundle, TEXTS[0], program=BINARIES / "examples/example_classify")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(done.stdout.decode().startswith(answer["label"] + "  "))
        self.assertIn(f"{answer['depth']} of 6 layers", done.stdout.decode())
        wrong = run(self.folder / "nowhere", "x", program=BINARIES / "examples/example_classify")
        self.assertEqual(wrong.returncode, 1)
        self.assertRegex(wrong.stderr.decode(), "^error FTH-102: ")


if __name__ == "__main__":
    unittest.main()
