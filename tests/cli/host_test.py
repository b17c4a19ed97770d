"""The library and the program in processes that are not theirs alone: small stacks, little memory, few threads, half a
core, a fork, another floating-point setting, weights that are not numbers. Every one answers as ever, or says why not."""
import json
import os
import resource
import struct
import subprocess
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from program import BINARIES, ERROR, FATHOM, ProgramTest, run  # noqa: E402

HOST = BINARIES / "tests/fathom_host"
TEXTS = ["the quick brown fox", "pack my box", "lazy dog with five dozen jugs", "jumps over", "quick jugs", "my fox"] * 6
MIB = 1 << 20


def limited(arguments, before, seconds=60):
    """The command under what `before` sets in its process, and how long it took."""
    start = time.monotonic()
    done = subprocess.run([str(a) for a in arguments], capture_output=True, timeout=seconds, preexec_fn=before)
    return done, time.monotonic() - start


def put_floats(checkpoint, name, first, values):
    """Numbers of a checkpoint's tensor, overwritten where they lie."""
    file = checkpoint / "model.safetensors"
    data = file.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    begin = json.loads(data[8:8 + size])[name]["data_offsets"][0]
    with open(file, "r+b") as f:
        f.seek(8 + size + begin + 4 * first)
        f.write(struct.pack(f"<{len(values)}f", *values))


class Host(ProgramTest):
    def host(self, bundle, mode, *texts):
        done = subprocess.run([str(HOST), str(bundle), mode, *(texts or TEXTS)], capture_output=True, timeout=120)
        self.assertEqual(done.returncode, 0, f"{mode}: {done.stderr.decode()}")
        return done.stdout.decode().splitlines()

    def test_answers_are_the_same_in_every_process(self):
        bundle = self.bundle()
        plain = self.host(bundle, "plain")
        self.assertEqual(len(plain), len(TEXTS))
        self.assertEqual(plain, self.host(bundle, "single"))
        self.assertEqual(plain, self.host(bundle, "stream"))
        for packed in bundle.glob("packed*"):
            packed.unlink()
        self.assertEqual(plain, self.host(bundle, "rounding"), "weights packed there, too")
        self.assertEqual(plain + plain, self.host(bundle, "fork"))
        self.assertEqual(plain, self.host(bundle, "child-only"))
        self.assertEqual(plain, self.host(bundle, "small-stack"))

    def test_ulimit_s_128(self):
        bundle = self.bundle()
        right = self.good("run", bundle, "--json", *TEXTS).stdout
        for threads in (1, 2):
            done, _ = limited([FATHOM, "run", bundle, "--json", "--threads", threads, *TEXTS],
                              lambda: resource.setrlimit(resource.RLIMIT_STACK, (128 << 10, 128 << 10)))
            self.assertEqual((done.returncode, done.stdout), (0, right), done.stderr.decode())

    def test_ulimit_v(self):
        bundle = self.bundle()
        right = self.good("run", bundle, "--json", *TEXTS).stdout
        size = sum(p.stat().st_size for p in bundle.iterdir())
        for more, threads in ((64, 1), (64, 2), (40, 2), (64, 1000)):
            most = size + more * MIB
            done, seconds = limited([FATHOM, "run", bundle, "--json", "--threads", threads, *TEXTS],
                                    lambda: resource.setrlimit(resource.RLIMIT_AS, (most, most)))
            self.assertLess(seconds, 30)
            if threads == 1000:
                self.assertEqual(done.returncode, 4, done.stderr.decode())
                self.assertEqual(len(ERROR.findall(done.stderr.decode())), 1)
            elif more == 64:
                self.assertEqual((done.returncode, done.stdout), (0, right), done.stderr.decode())
            else:
                self.assertIn(done.returncode, (0, 4), done.stderr.decode())

    def test_nproc_2(self):
        bundle = self.bundle()
        self.good("run", bundle, "pack my box")  # packs
        if os.geteuid() == 0:
            for path in [self.folder, *self.folder.rglob("*")]:
                path.chmod(0o755)

        def two():
            resource.setrlimit(resource.RLIMIT_NPROC, (2, 2))
            if os.geteuid() == 0:  # who is bound by nothing
                os.setgroups([])
                os.setgid(61000 + os.getpid() % 4000)
                os.setuid(61000 + os.getpid() % 4000)
        try:
            done, _ = limited([FATHOM, "--version"], two)
        except (OSError, subprocess.SubprocessError) as why:
            self.skipTest(f"the program cannot be started by another user: {why}")
        done, _ = limited([FATHOM, "run", bundle, "--threads", 1, "pack my box"], two)
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        done, seconds = limited([FATHOM, "run", bundle, "--threads", 8, "pack my box"], two, 20)
        self.assertEqual(done.returncode, 4, done.stderr.decode())
        self.assertIn("of 8 could be started", done.stderr.decode())
        self.assertIn("--threads 1", done.stderr.decode())
        self.assertLess(seconds, 10)

    def half_a_core(self):
        """A control group of half a core, of either version, that this user may make; else None."""
        name = f"fathom-test-{os.getpid()}"
        for folder, settings in ((Path("/sys/fs/cgroup/cpu") / name, {"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "50000"}),
                                 (Path("/sys/fs/cgroup") / name, {"cpu.max": "50000 100000"})):
            try:
                if not any((folder.parent / f).exists() for f in ("cpu.cfs_quota_us", "cgroup.controllers")):
                    continue
                folder.mkdir()
                self.addCleanup(folder.rmdir)
                for file, text in settings.items():
                    (folder / file).write_text(text)
                return folder
            except OSError:
                continue
        return None

    def test_half_a_core(self):
        group = self.half_a_core()
        if group is None:
            self.skipTest("control groups cannot be made here")

        def join():
            (group / "cgroup.procs").write_text(str(os.getpid()))
        done, _ = limited([FATHOM, "doctor", "--json"], join)
        told = json.loads(done.stdout)
        self.assertEqual((told["threads"], told["cpu_share"]), (1, 0.5))
        self.assertIn(group.name, told["cpu_share_from"])
        self.assertIn("0.5", limited([FATHOM, "doctor"], join)[0].stdout.decode())
        bundle = self.bundle()
        right = self.good("run", bundle, "--json", *TEXTS).stdout
        for threads in ([], ["--threads", "4"]):
            done, seconds = limited([FATHOM, "run", bundle, "--json", *threads, *TEXTS], join)
            self.assertEqual((done.returncode, done.stdout), (0, right), done.stderr.decode())


class NotANumber(ProgramTest):
    def checkpoint(self):
        source = Path(__file__).resolve().parents[1] / "parity/checkpoints/bert"
        copy = self.folder / "checkpoint"
        copy.mkdir()
        for file in source.iterdir():
            if file.name != "reference.json":
                (copy / file.name).write_bytes(file.read_bytes())
        return copy

    def test_one_input_without_an_answer_leaves_the_others_theirs(self):
        checkpoint = self.checkpoint()
        vocabulary = json.loads((checkpoint / "tokenizer.json").read_text())["model"]["vocab"]
        good, bad = sorted(word for word in vocabulary if word.isalpha() and word.isascii() and word.islower())[:2]
        texts = [good, f"{good} {bad}", f"{good} {good}"]
        self.good("import", checkpoint, "-o", self.folder / "healthy")
        right = self.json_lines(self.good("run", self.folder / "healthy", "--json", *texts))
        # Every number is finite; their sum is not.
        put_floats(checkpoint, "bert.embeddings.word_embeddings.weight", 32 * vocabulary[bad], [3e38] * 32)
        bundle = self.folder / "strange"
        self.good("import", checkpoint, "-o", bundle)
        for flags in ([], ["--full-depth"], ["--threads", "2"]):
            done = run("run", bundle, "--json", *flags, *texts)
            self.assertEqual(done.returncode, 3, done.stderr.decode())
            lines = self.json_lines(done)
            self.assertEqual([("label" in line) for line in lines], [True, False, True])
            self.assertEqual([lines[0], lines[2]], [right[0], right[2]])
            self.assertEqual(lines[1]["input"], texts[1])
            self.assertEqual(lines[1]["error"]["code"], 302)
            self.assertIn("not finite", lines[1]["error"]["message"])
            self.assertEqual(len(ERROR.findall(done.stderr.decode())), 1)
            self.assertIn(f"input 2 '{texts[1]}'", done.stderr.decode())
        done = run("run", bundle, *texts)
        self.assertEqual(done.returncode, 3)
        self.assertEqual(len(done.stdout.decode().splitlines()), 2)
        self.assertNotIn("nan", done.stdout.decode())
        for mode in ("plain", "stream", "single"):
            done = subprocess.run([str(HOST), str(bundle), mode, *texts], capture_output=True, timeout=60)
            lines = [line for line in done.stdout.decode().splitlines() if not line.startswith("  next")]
            self.assertEqual([("not finite" in line) for line in lines], [False, True, False], mode)

    def test_import_names_file_tensor_and_element(self):
        copy = self.checkpoint()
        put_floats(copy, "classifier.weight", 5, [float("nan")])
        for more in (["--check"], ["-o", self.folder / "b"]):
            self.refused(3, "model.safetensors': tensor 'classifier.weight': element 5 of .* is nan", "import", copy, *more)
        put_floats(copy, "classifier.weight", 5, [0.0])
        put_floats(copy, "classifier.bias", 1, [float("-inf")])
        self.refused(3, "'classifier.bias': element 1 of .* is infinite", "import", copy, "--check")


if __name__ == "__main__":
    unittest.main()
