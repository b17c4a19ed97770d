"""Memory and time follow what an input is, not what it claims: measured in children, at one, two and four times the size."""
import gzip
import json
import os
import struct
import subprocess
import sys
import unittest
import zlib
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from program import FATHOM, ProgramTest  # noqa: E402

MB = 1 << 20


def chunk(kind, data, claimed=None):
    return (struct.pack(">I", len(data) if claimed is None else claimed) + kind + data +
            struct.pack(">I", zlib.crc32(kind + data)))


def png(height, width, extra=b""):
    packer = zlib.compressobj(9)
    row = b"\0" + bytes(3 * width)
    packed = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) + extra +
            chunk(b"IDAT", packed) + chunk(b"IEND", b""))


# A process of its own starts the program: the system counts the peak of whoever forks as the child's, and making the
# inputs takes hundreds of megabytes here.
MEASURE = """
import json, os, subprocess, sys
child = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(child.pid, 0)
child.returncode = os.waitstatus_to_exitcode(status)
print(json.dumps([child.returncode, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024]))
"""


class Bounded(ProgramTest):
    def child(self, *arguments):
        """Exit code, seconds of CPU, peak bytes, what it said."""
        done = subprocess.run([sys.executable, "-c", MEASURE, str(FATHOM), *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              env={**os.environ, "FATHOM_THREADS": "1"})
        code, seconds, peak = json.loads(done.stdout)
        return code, seconds, peak, done.stderr.decode(errors="replace")

    def put(self, name, data):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def data(self, name, train):
        folder = self.folder / f"data-{name}-{len(list(self.folder.iterdir()))}"
        folder.mkdir()
        (folder / name).write_bytes(train)
        (folder / "test.csv").write_text("text,label\na b,x\nc d,y\n")
        return folder

    def linear(self, runs, slack=24 * MB):
        """runs: (bytes of input, result) at one, two and four times the size: no more than 4.8 times the first's CPU beyond a
        start of .3 s, and memory within 8 times the input's growth."""
        (small, first), (large, last) = runs[0], runs[-1]
        talk = f"{[(n, r[:3]) for n, r in runs]} {last[3][-300:]}"
        self.assertLess(last[1], 4.8 * first[1] + .3, talk)
        self.assertLess(last[2] - first[2], 8 * (large - small) + slack, talk)

    def test_a_text_chunk_that_claims_two_gigabytes(self):
        bundle = self.bundle("image")
        claim = chunk(b"tEXt", b"ab", claimed=0x7FFFFFFF)
        code, seconds, peak, talk = self.child("run", bundle, self.put("claims.png", png(8, 8, claim)))
        self.assertEqual(code, 3, talk)
        self.assertLess(peak, 64 * MB)
        self.assertLess(seconds, 1)

    def test_pictures_are_decoded_one_at_a_time(self):
        bundle = self.bundle("image")
        big = self.put("big.png", png(2000, 2000))
        peaks = [self.child("run", bundle, *[big] * n)[2] for n in (2, 4, 8, 16)]
        self.assertLess(peaks[-1] - peaks[0], 8 * MB, peaks)

    def test_a_tall_picture(self):
        bundle = self.bundle("image")
        code, seconds, peak, talk = self.child("run", bundle, self.put("tall.png", png(4_000_000, 1)))
        self.assertEqual(code, 4, talk)
        self.assertLess(peak, 64 * MB)

    def test_gzip_that_grows_without_end(self):
        bundle = self.bundle()
        for line in (b"\0" * 8, b",,,,,,,\n"):
            runs = []
            for times in (1, 2, 4):
                packed = gzip.compress(line * (12 * MB * times), 9)
                runs.append((len(packed), self.child("certify", bundle, "--data", self.data("train.csv.gz", packed))))
                self.assertIn(runs[-1][1][0], (3, 4), runs[-1][1][3])
                self.assertLess(runs[-1][1][2], 96 * MB, "what it unpacks to does not count")

    def test_fields_take_no_memory_of_their_own(self):
        bundle = self.bundle()
        runs = []
        for times in (1, 2, 4):
            table = b",,,,,,,\n" * (MB // 8 * times)
            runs.append((len(table), self.child("certify", bundle, "--data", self.data("train.csv", table))))
        self.linear(runs)

    def test_a_line_of_json_with_many_members(self):
        bundle = self.bundle()
        runs = []
        for times in (1, 2, 4):
            line = json.dumps({"text": "a b", "label": "x", "more": [{f"k{i}": i} for i in range(20000 * times)],
                               "most": {f"m{i:06d}": i for i in range(20000 * times)}}).encode()
            runs.append((len(line), self.child("certify", bundle, "--data", self.data("train.jsonl", line + b"\n"))))
        self.linear(runs)

    def test_an_endless_line(self):
        bundle = self.bundle()
        peaks = []
        for times in (4, 8, 16):
            code, _, peak, talk = self.child("run", bundle, "--file", self.put("long.txt", b"word " * (MB // 5 * times)))
            self.assertNotEqual(code, 0, talk)
            peaks.append(peak)
        self.assertLess(peaks[-1] - peaks[0], 4 * MB, peaks)


if __name__ == "__main__":
    unittest.main()
