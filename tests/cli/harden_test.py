"""Bits flipped and files cut short, each in a process of its own: refused with the file's name, or the same answers."""
import os
import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from program import BINARIES, SOURCE, ProgramTest  # noqa: E402

WHOLE = os.environ.get("FATHOM_HARDEN") == "all"


class Harden(ProgramTest):
    def sweep(self, folder, kind, flips, every):
        memory = Path("/dev/shm")  # thousands of synced files
        done = subprocess.run([str(BINARIES / "tests/fathom_harden"), str(folder), kind, str(flips), str(every), "7"],
                              env={**os.environ, **({"TMPDIR": str(memory)} if os.access(memory, os.W_OK) else {})},
                              capture_output=True, text=True)
        if WHOLE:
            print(kind, done.stdout, done.stderr)
        self.assertEqual(done.returncode, 0, done.stderr[-3000:] + done.stdout)

    def test_a_bundle(self):
        self.sweep(self.bundle(), "bundle", 10000 if WHOLE else 200, 1 if WHOLE else 173)

    def test_a_checkpoint(self):
        self.sweep(SOURCE / "tests/parity/checkpoints/bert", "checkpoint", 10000 if WHOLE else 100, 1 if WHOLE else 397)


if __name__ == "__main__":
    unittest.main()
