#!/usr/bin/env python3
"""What g++ and the tests do not say: clang's warnings, sanitizers, fuzzing, clang-tidy (make gates; docs/adr/0030).

    python3 tools/gates.py              # today's share, within about --minutes of work
    python3 tools/gates.py --all        # everything, however long it takes
    python3 tools/gates.py --only fuzz  # warnings | sanitizers | fuzz | tidy

One folder, build/gates: clang, AddressSanitizer and UndefinedBehaviorSanitizer. A gate is
  warnings    one source (not fathom-train's) read by clang with every warning an error; code is not made
  sanitizers  the unit tests of one room that reads files: base, bundle, data, model
  fuzz        one target of fuzz/: its corpus and the committed checkpoints' files replayed, then 10 s of new inputs
  tidy        one source against the list in .clang-tidy; what is bugprone or misc fails, the rest is told
Of sources, those that the last commit changed come first, then others, drawn by the commit; rooms and fuzz targets take
turns by the day of the commit, so that all have been there in four days. What the time did not reach is said.
The last line is "N passed, N failed": these gates, and with --after BUILD the tests that ctest ran there.
Exit code: 0, 1 if one failed. Where clang is not installed and cannot be, nothing is checked, and the script says so.
"""
import argparse
import json
import os
import random
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build/gates"
ROOMS = ["base", "bundle", "model", "data"]
# Rooms and targets of a day: what they need in common is built once.
TURNS = [(["base"], ["json"]), (["data"], ["table", "picture"]), (["bundle", "model"], ["checkpoint", "trees", "model"]), ([], ["tokenizer", "preprocessing"])]
# Files committed for other tests that are seeds as well.
SEEDS = {"picture": "tests/parity/picture/*.[jp][pn]g", "preprocessing": "tests/parity/checkpoints/*/preprocessor_config.json",
         "checkpoint": "tests/parity/checkpoints/*/config.json", "tokenizer": "tests/parity/tokenizers/*/tokenizer.json"}
FUZZ_SECONDS = 10
# Tests that take address space away: the sanitizer needs terabytes of it.
NOT_SANITIZED = {"base": "ThreadPool.AThreadForkedWithoutRoomForThreadsWorksAlone"}
CONFIGURE = ["-G", "Ninja", "-DCMAKE_BUILD_TYPE=RelWithDebInfo", "-DCMAKE_CXX_COMPILER=clang++", "-DFATHOM_WERROR=ON", "-DFATHOM_TRAIN=OFF",
             "-DFATHOM_FUZZ=ON", "-DFATHOM_BENCH=ON", "-DCMAKE_CXX_FLAGS_RELWITHDEBINFO=-O1 -gline-tables-only",
             "-DCMAKE_CXX_FLAGS=-fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=undefined -fno-omit-frame-pointer"]


def say(text):
    print("gates: " + text, flush=True)


def git(*words):
    done = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else ""


def run(words, **more):
    return subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", **more)


def sources():
    """Each source of ours and how clang would compile it, without sanitizers: they slow reading down."""
    out = {}
    for entry in json.loads((BUILD / "compile_commands.json").read_text()):
        path = Path(entry["file"])
        if path.is_relative_to(BUILD) or path in out:
            continue
        words = shlex.split(entry["command"])
        words = words[1:] if Path(words[0]).name == "ccache" else words
        at = words.index("-o")
        out[path] = [word for word in words[:at] + words[at + 2:] if not word.startswith("-fsanitize")]
    return out


def changed_first(paths, draw):
    """Those that the last commit or the working tree changed, with the sources of a changed header's name; then the rest, drawn."""
    names = set((git("diff", "--name-only", "HEAD~1") + "\n" + git("diff", "--name-only")).split())
    stems = {str((ROOT / name).with_suffix("")) for name in names}
    rest = sorted(paths)
    draw.shuffle(rest)
    first = [path for path in rest if str(path.with_suffix("")) in stems]
    return first, [path for path in rest if path not in first]


def warnings_gate(path, words):
    done = run(words + ["-fsyntax-only"], cwd=BUILD)
    return done.returncode == 0, done.stdout


def tidy_gate(path, _):
    done = run(["clang-tidy", "-p", str(BUILD), "--quiet", "--warnings-as-errors=bugprone-*,misc-*", str(path)], cwd=ROOT)
    if done.returncode == 0:
        for line in sorted({line for line in done.stdout.splitlines() if "warning:" in line and str(path) in line}):
            say(line.replace(str(ROOT) + "/", ""))
    return done.returncode == 0, done.stdout


def build(target, jobs):
    done = run(["cmake", "--build", str(BUILD), "-j", str(jobs), "--target", target])
    return done.returncode == 0, done.stdout


def environment():
    # Big allocations are asked for on purpose by tests of limits; what would be too much is a null, as without the sanitizer.
    return os.environ | {"ASAN_OPTIONS": "allocator_may_return_null=1:detect_leaks=1", "UBSAN_OPTIONS": "print_stacktrace=1",
                         "FATHOM_SOURCE_DIR": str(ROOT), "FATHOM_BINARY_DIR": str(BUILD)}


def room_gate(room, jobs):
    built, said = build(f"fathom_{room}_test", jobs)
    if not built:
        return False, said
    done = run([str(BUILD / f"fathom_{room}_test"), "--gtest_brief=1", "--gtest_filter=-" + NOT_SANITIZED.get(room, "")], env=environment(), cwd=BUILD)
    return done.returncode == 0, done.stdout


def fuzz_gate(target, jobs, seed):
    built, said = build(f"fuzz_{target}", jobs)
    if not built:
        return False, said
    program = str(BUILD / f"fuzz/fuzz_{target}")
    with tempfile.TemporaryDirectory() as folder:
        seeds = sorted((ROOT / "fuzz/corpus" / target).iterdir()) + (sorted(ROOT.glob(SEEDS[target])) if target in SEEDS else [])
        for i, file in enumerate(seeds):
            shutil.copy(file, Path(folder) / f"{i:03}_{file.name}")
        words = [program, "-rss_limit_mb=2048", "-timeout=60", f"-artifact_prefix={BUILD}/", folder]
        for more in (["-runs=0"], [f"-max_total_time={FUZZ_SECONDS}", f"-seed={seed}"]):
            done = run(words + more, env=environment(), cwd=BUILD)
            if done.returncode != 0:
                return False, done.stdout
    return True, ""


class Gates:
    def __init__(self, seconds):
        self.end = time.monotonic() + seconds
        self.passed, self.failed, self.left = 0, [], []

    def time_left(self):
        return self.end - time.monotonic()

    def note(self, name, outcome):
        good, said = outcome
        if good:
            self.passed += 1
        else:
            self.failed.append(name)
            say(f"FAILED {name}\n{said[-6000:]}")

    def each(self, kind, items, gate, until, jobs):
        """Gates of sources, side by side, until the clock says `until`."""
        def one(item):
            return None if time.monotonic() > until else gate(*item)
        with ThreadPoolExecutor(jobs) as pool:
            outcomes = list(pool.map(one, items))
        done = 0
        for item, outcome in zip(items, outcomes):
            if outcome is not None:
                done += 1
                self.note(f"{kind} {item[0].relative_to(ROOT)}", outcome)
        if done < len(items):
            self.left.append(f"{kind}: {len(items) - done} of {len(items)} sources")


def tests_of(build):
    """How many tests ctest ran last in this folder: (passed, failed)."""
    try:
        log = (build / "Testing/Temporary/LastTest.log").read_text(errors="replace")
    except OSError:
        return 0, 0
    return len(re.findall(r"^Test Passed\.$", log, re.M)), len(re.findall(r"^Test Failed\.$", log, re.M))


def check(options, gates):
    jobs = os.cpu_count() or 1
    configured = run(["cmake", "-S", str(ROOT), "-B", str(BUILD), *CONFIGURE])
    gates.note("configure", (configured.returncode == 0, configured.stdout))
    if configured.returncode != 0:
        return
    commit = git("rev-parse", "HEAD") or "0"
    draw = random.Random(commit)
    day = int(git("log", "-1", "--format=%ct") or time.time()) // 86400
    wanted = lambda kind: not options.only or kind == options.only  # noqa: E731
    rooms, targets = TURNS[day % len(TURNS)]
    if options.all:
        rooms, targets = ROOMS, sorted(file.name for file in (ROOT / "fuzz/corpus").iterdir())
    begun, all_time = time.monotonic(), gates.time_left()
    if wanted("sanitizers"):
        for room in rooms:
            gates.note(f"sanitizers {room}", room_gate(room, jobs))
    if wanted("fuzz"):
        for target in targets:
            gates.note(f"fuzz {target}", fuzz_gate(target, jobs, int(commit[:7], 16)))
    known = sources()
    first, rest = changed_first(known, draw)
    if wanted("tidy"):  # slow: what changed, and a few
        some = first + rest if options.all else first[:6] + rest[:2]
        gates.each("tidy", [(path, None) for path in some if path.is_relative_to(ROOT / "src")], tidy_gate,
                   max(begun + 0.75 * all_time, time.monotonic() + 0.5 * gates.time_left()), jobs)
    if wanted("warnings"):
        gates.each("warnings", [(path, known[path]) for path in first + rest], warnings_gate, max(gates.end, time.monotonic() + 20), jobs)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=4, help="about how long (default 4)")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--only", choices=["warnings", "sanitizers", "fuzz", "tidy"])
    parser.add_argument("--after", type=Path, metavar="BUILD", help="count the tests that ctest ran in this folder, too")
    options = parser.parse_args()
    gates = Gates(1e9 if options.all else 60 * options.minutes)
    begun = time.monotonic()
    if not (shutil.which("clang++") and shutil.which("clang-tidy")):
        subprocess.run([sys.executable, str(ROOT / "tools/setup.py"), "--gates"])
    if shutil.which("clang++") and shutil.which("clang-tidy"):
        check(options, gates)
    else:
        say("skipped: clang and clang-tidy are not installed (requirements/debian-gates.txt)")
    for what in gates.left:
        say("not reached today: " + what)
    passed, failed = tests_of(options.after) if options.after else (0, 0)
    say(f"{gates.passed} gates passed, {len(gates.failed)} failed, {time.monotonic() - begun:.0f} s" +
        (": " + ", ".join(gates.failed) if gates.failed else ""))
    print(f"{passed + gates.passed} passed, {failed + len(gates.failed)} failed")
    return 1 if gates.failed else 0


if __name__ == "__main__":
    sys.exit(main())
