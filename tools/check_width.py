#!/usr/bin/env python3
"""Says which lines of the C++ sources are wider than .clang-format's 120 columns.

  check_width.py [ROOT]      exit 0 and one line, or exit 1 and every line that is too wide
  check_width.py --self-test plants a wide line in a small tree and checks that it is found
"""
import sys
import tempfile
from pathlib import Path

COLUMNS = 120
SUFFIXES = {".h", ".hpp", ".cpp", ".inc", ".cu"}
FOLDERS = ("src", "include", "tests", "fuzz", "bench", "examples")


def wide_lines(root):
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in SUFFIXES:
                for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                    if len(line) > COLUMNS:
                        yield f"{path.relative_to(root)}:{number}: {len(line)} columns"


def self_test():
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "src").mkdir()
        (root / "src" / "a.cpp").write_text("//" + "x" * 118 + "\n" + "//" + "ä" * 119 + "\n", encoding="utf-8")
        found = list(wide_lines(root))
        return 0 if found == ["src/a.cpp:2: 121 columns"] else f"found {found}"


def main(argv):
    if argv == ["--self-test"]:
        return self_test()
    found = list(wide_lines(Path(argv[0] if argv else ".")))
    print("\n".join(found) if found else f"every line has at most {COLUMNS} columns")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
