"""With FATHOM_TRAIN=OFF the tree configures where neither LibTorch nor LightGBM is, and names no target of theirs."""
import os
import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from program import SOURCE, ProgramTest  # noqa: E402


class RuntimeOnly(ProgramTest):
    def configure(self, *flags):
        return subprocess.run([os.environ.get("CMAKE_COMMAND", "cmake"), "-S", SOURCE, "-B", self.folder / "build", "-G", "Ninja",
                               "-DFATHOM_DEPS=" + str(self.folder / "nowhere"), "-DFATHOM_TORCH=", *flags],
                              capture_output=True, text=True)

    def test_configures_without_training_libraries(self):
        done = self.configure("-DFATHOM_TRAIN=OFF", "-DFATHOM_TESTS=OFF")
        self.assertEqual(done.returncode, 0, done.stderr)
        ninja = (self.folder / "build/build.ninja").read_text().lower()
        self.assertIn("fathom_engine", ninja)
        for word in ("libtorch", "lib_lightgbm", "fathom-train"):
            self.assertNotIn(word, ninja)

    def test_with_training_on_it_says_what_is_missing(self):
        done = self.configure("-DFATHOM_TRAIN=ON", "-DFATHOM_TESTS=OFF")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("make deps", " ".join(done.stderr.split()))


if __name__ == "__main__":
    unittest.main()
