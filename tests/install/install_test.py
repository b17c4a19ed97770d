"""cmake --install into a fresh prefix, then the example built outside the tree with find_package(Fathom), and run."""
import os
import shutil
import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from program import BINARIES, SOURCE, ProgramTest, run  # noqa: E402

CMAKE = os.environ.get("CMAKE_COMMAND", "cmake")
PROJECT = """cmake_minimum_required(VERSION 3.22)
project(User LANGUAGES CXX)
find_package(Fathom 0.1 REQUIRED)
add_executable(classify classify.cpp)
target_link_libraries(classify PRIVATE Fathom::fathom)
"""


class Install(ProgramTest):
    def step(self, *command):
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_a_user_builds_against_the_installed_library(self):
        prefix, user = self.folder / "prefix", self.folder / "user"
        self.step(CMAKE, "--install", BINARIES, "--prefix", prefix)
        user.mkdir()
        shutil.copy(SOURCE / "examples/classify.cpp", user)
        (user / "CMakeLists.txt").write_text(PROJECT)
        self.step(CMAKE, "-S", user, "-B", user / "build", "-G", "Ninja", "-DCMAKE_PREFIX_PATH=" + str(prefix),
                  "-DCMAKE_BUILD_TYPE=" + (os.environ.get("CMAKE_BUILD_TYPE") or "Release"), "-DCMAKE_CXX_COMPILER=" + os.environ.get("CXX", "c++"))
        self.step(CMAKE, "--build", user / "build")
        bundle = self.bundle()
        done = run(bundle, "the quick fox", program=user / "build/classify")
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        self.assertIn("of 6 layers", done.stdout.decode())
        self.assertEqual(run("--version", program=prefix / "bin/fathom").returncode, 0)


if __name__ == "__main__":
    unittest.main()
