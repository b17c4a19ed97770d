"""What the pages say can be typed: every command of README, docs/ and bench/README exists, with its flags; every file they
name is there; and no text of ours names a document that the repository does not hold."""
import re
import shlex
import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from program import BINARIES, SOURCE as ROOT, ProgramTest  # noqa: E402

PAGES = [ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "bench/README.md")] + sorted((ROOT / "docs").rglob("*.md"))
COMMAND = re.compile(r"(?:^|[`&|;(]\s*|\s-o \S+ && )((?:fathom(?:-train)? (?!is\b)|python3 (?:bench|tools|tests|src)/|make (?!it\b)|build/release/)[^`&|;#\n]*)")
FILE = re.compile(r"(?<![\w./$-])((?:docs|tools|src|bench|tests|fuzz|examples|include|requirements|cmake)/[\w./-]*\w)(?![\w*{<-])")
ELSEWHERE = re.compile(r"\b(?:RECIPE|STAGES|ANCHORS|ECOSYSTEM|LIMITS\.md|DESIGN section|DESIGN\.md|HOUSE\.md|paper/0\d\d)")


def commands(page):
    """(line number, command) of what stands indented as code, or between backticks."""
    text = re.sub(r" \\\n\s+", " ", page.read_text())
    for number, line in enumerate(text.splitlines(), 1):
        for piece in [line[4:]] if line.startswith("    ") else re.findall(r"`([^`]+)`", line):
            for found in COMMAND.findall(piece.split("  #")[0]):
                yield number, found.strip()


def flags(command):
    return re.findall(r"(?<![\w-])(--[a-z][\w-]*)", command)


class Docs(ProgramTest):
    known = {}

    def help_of(self, verb):
        if verb not in self.known:
            self.known[verb] = self.good("help", verb).stdout.decode()
            trainer = BINARIES / "fathom-train"
            if verb in ("fit", "demo", "compress") and trainer.exists():  # what they do not know themselves goes there
                self.known[verb] += subprocess.run([trainer, "--help"], capture_output=True, text=True).stdout
        return self.known[verb]

    def fault_of(self, command):
        words = command.split()
        if words[0] in ("fathom", "fathom-train"):
            if words[0] == "fathom-train" or len(words) < 2 or not re.fullmatch(r"[a-z]+", words[1]):
                return None
            trainer = (BINARIES / "fathom-train").exists()
            if words[1] not in self.verbs:
                return f"fathom has no verb '{words[1]}'"
            if words[1] in ("fit", "demo") and not trainer:
                return None
            missing = [flag for flag in flags(command) if flag not in self.help_of(words[1])]
        elif words[0] == "make":
            targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.M))
            missing = [word for word in shlex.split(command)[1:] if re.fullmatch(r"[a-z][a-z0-9-]*", word) and word not in targets]
        else:
            source = words[1] if words[0] == "python3" else words[0]
            if words[0].startswith("build/release/"):
                name = Path(words[0]).name
                if name == "fathom":
                    return self.fault_of(" ".join(["fathom"] + words[1:]))
                source = next((str(p.relative_to(ROOT)) for p in ROOT.glob(f"*/{name}.cpp")), None) or next(
                    (str(p.relative_to(ROOT)) for p in ROOT.glob(f"tests/support/{name.removeprefix('fathom_')}_main.cpp")), words[0])
                if name.endswith("_test"):
                    return None
            if not (ROOT / source).is_file():
                return f"{source} is not there"
            text = (ROOT / source).read_text()
            missing = [flag for flag in flags(command) if flag not in text]
        return f"no {', '.join(missing)}" if missing else None

    def test_every_command_can_be_typed(self):
        self.verbs = set(re.findall(r"^  ([a-z]+) ", self.good("help").stdout.decode(), re.M)) | {"help"}
        self.assertIn("eval", self.verbs)
        checked, wrong = 0, []
        for page in PAGES:
            for number, command in commands(page):
                checked += 1
                fault = self.fault_of(command)
                if fault:
                    wrong.append(f"{page.relative_to(ROOT)}:{number}: {fault}: {command}")
        self.assertGreater(checked, 60)
        self.assertFalse(wrong, "\n" + "\n".join(wrong))

    def test_named_files_are_there(self):
        wrong = []
        for page in PAGES:
            for number, line in enumerate(page.read_text().splitlines(), 1):
                for name in FILE.findall(line):
                    if Path(name).stem.isupper() or name.startswith("bench/results"):  # a word that stands for a file
                        continue
                    if not (ROOT / name).exists() and not list(ROOT.glob(name + "*")):
                        wrong.append(f"{page.relative_to(ROOT)}:{number}: {name}")
        self.assertFalse(wrong, "\n" + "\n".join(wrong))

    def test_no_document_that_is_not_here(self):
        wrong = []
        for folder in ("src", "include", "bench", "tests", "tools", "docs", "fuzz", "examples"):
            for path in sorted((ROOT / folder).rglob("*")):
                if path == Path(__file__).resolve() or path.suffix not in {".h", ".cpp", ".inc", ".py", ".md", ".txt", ".cmake"}:
                    continue
                for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
                    if ELSEWHERE.search(line):
                        wrong.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()}")
        self.assertFalse(wrong, "\n" + "\n".join(wrong))


if __name__ == "__main__":
    unittest.main()
