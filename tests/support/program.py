"""What the program tests share: running fathom, checking the one shape of errors, small data and bundles."""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

BINARIES = Path(os.environ.get("FATHOM_BINARY_DIR", "build/release")).resolve()
SOURCE = Path(os.environ.get("FATHOM_SOURCE_DIR", Path(__file__).resolve().parents[2]))
FATHOM = BINARIES / "fathom"
ERROR = re.compile(r"^error FTH-(\d{3}): (.+)$", re.M)


def run(*arguments, stdin=None, timeout=600, env=None, program=FATHOM):
    return subprocess.run([str(program), *map(str, arguments)], input=stdin, capture_output=True, timeout=timeout,
                          env={**os.environ, **(env or {})})


def fresh(*arguments):
    """stdout, stderr, seconds and peak resident bytes of one run in a process of its own."""
    start = time.perf_counter()
    child = subprocess.Popen([str(FATHOM), *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, talk = child.stdout.read(), child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - start
    child.returncode = os.waitstatus_to_exitcode(status)
    child.stdout.close()
    child.stderr.close()
    assert child.returncode == 0, talk.decode()
    return out.decode(), talk.decode(), seconds, usage.ru_maxrss * 1024


class ProgramTest(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="fathom-test-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def good(self, *arguments, **more):
        done = run(*arguments, **more)
        self.assertEqual(done.returncode, 0, done.stderr.decode(errors="replace"))
        return done

    def refused(self, exit_code, says, *arguments, **more):
        """The command ends with exit_code, nothing on stdout, and exactly one error that says `says`."""
        done = run(*arguments, **more)
        talk = done.stderr.decode(errors="replace")
        self.assertEqual(done.returncode, exit_code, f"{arguments}\n{talk}")
        self.assertEqual(done.stdout, b"", "an error leaves no data on stdout")
        errors = ERROR.findall(talk)
        self.assertEqual(len(errors), 1, f"one error expected:\n{talk}")
        code, message = errors[0]
        self.assertEqual(int(code) // 100 if code != "130" else 130, exit_code, "the code's hundreds digit is the exit code")
        self.assertRegex(message.lower(), says.lower())
        return talk

    def bundle(self, kind="text"):
        folder = self.folder / f"{kind}-bundle"
        made = run(folder, kind, program=BINARIES / "tests/fathom_random_bundle")
        self.assertEqual(made.returncode, 0, made.stderr.decode())
        return folder

    def json_lines(self, done):
        return [json.loads(line) for line in done.stdout.decode().splitlines()]


def skip(why):
    print("skipped: " + why)
    sys.exit(77)
