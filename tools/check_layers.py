#!/usr/bin/env python3
"""Compares every #include with the arrows of CMakeLists.txt.

A file of room A (src/A/) may include "A/..." and "B/..." for each B in A's USES; nothing else of ours. Rooms are
listed lowest first, so a USES entry may only name a room above its line. Public headers include only the standard
library and each other; examples only public headers; tests/ and fuzz/ may include any room, but only rooms that exist.
LibTorch and LightGBM headers are allowed in train alone.

  check_layers.py [ROOT]      exit 0 and one line, or exit 1 and every wrong include
  check_layers.py --self-test plants wrong includes in a copy of a small tree and checks that each is found
"""
import re
import sys
import tempfile
from pathlib import Path

ROOM = re.compile(r"^\s*fathom_room\((\w+)([^)]*)\)", re.M)
INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]', re.M)
SOURCES = {".h", ".hpp", ".cpp", ".inc", ".cu"}
TRAINING = re.compile(r"^(torch/|ATen/|c10/|LightGBM/)")


def read_arrows(root):
    """Room -> the rooms it may include, and a list of upward or unknown USES entries."""
    arrows, wrong = {}, []
    for name, rest in ROOM.findall((root / "CMakeLists.txt").read_text()):
        uses = []
        if "USES" in rest:
            uses = rest.split("USES", 1)[1].split("LINKS", 1)[0].split()
        for used in uses:
            if used not in arrows:
                wrong.append(f"CMakeLists.txt: {name} USES {used}, which is not a room below it")
        arrows[name] = set(uses)
    return arrows, wrong


def files_below(folder):
    return sorted(p for p in folder.rglob("*") if p.suffix in SOURCES) if folder.is_dir() else []


def check(root):
    arrows, wrong = read_arrows(root)
    checked = 0
    for folder in sorted(p for p in (root / "src").iterdir() if p.is_dir()):
        if folder.name not in arrows:
            if files_below(folder):
                wrong.append(f"src/{folder.name}: not a room of CMakeLists.txt")
            continue
        for path in files_below(folder):
            checked += 1
            wrong += wrong_includes(root, path, folder.name, arrows)
    for folder in ("tests", "fuzz", "examples", "bench", "include"):
        for path in files_below(root / folder):
            checked += 1
            wrong += wrong_includes(root, path, None, arrows)
    return wrong, checked, arrows


def wrong_includes(root, path, room, arrows):
    shown = path.relative_to(root)
    public_only = shown.parts[0] in ("examples", "include")
    for kind, target in INCLUDE.findall(path.read_text(errors="replace")):
        first = target.split("/")[0]
        if TRAINING.match(target) and room != "train" and shown.parts[0] not in ("tests", "bench"):
            yield f"{shown}: includes <{target}>: LibTorch and LightGBM live in train alone"
        elif first == "fathom":
            if room is not None and room != "api":
                yield f"{shown}: includes {target}: the public header is above every room but api"
        elif kind == "<":
            continue
        elif public_only:
            yield f'{shown}: includes "{target}": only the standard library and <fathom/...> are allowed here'
        elif room is None:
            if first not in arrows and not (path.parent / target).exists():
                yield f'{shown}: includes "{target}": no such room'
        elif "/" not in target:
            yield f'{shown}: includes "{target}": write the full path from src ("{room}/{target}")'
        elif first != room and first not in arrows[room]:
            yield f'{shown}: includes "{target}": {room} does not have {first} in its USES'


def self_test():
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "CMakeLists.txt").write_text(
            "fathom_room(base)\nfathom_room(data USES base LINKS x)\nfathom_room(engine USES data base)\nfathom_room(train USES base)\n")
        good = {"src/base/a.h": "#include <vector>\n", "src/data/b.h": '#include "base/a.h"\n#include "data/b2.h"\n',
                "src/engine/c_test.cpp": '#include "data/b.h"\n', "tests/t.cpp": '#include "engine/c.h"\n',
                "src/train/t.h": "#include <torch/torch.h>\n", "include/fathom/f.hpp": "#include <string>\n"}
        for name, text in good.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
        found, checked, _ = check(root)
        assert not found and checked == len(good), found
        planted = [("src/base/up.h", '#include "engine/c.h"\n'), ("src/base/up_test.cpp", '#include "data/b.h"\n'),
                   ("src/data/side.cpp", '#include "train/t.h"\n'), ("src/data/short.cpp", '#include "b.h"\n'),
                   ("src/engine/torch.cpp", "#include <torch/torch.h>\n"), ("examples/e.cpp", '#include "base/a.h"\n'),
                   ("include/fathom/g.hpp", '#include "base/a.h"\n'), ("tests/u.cpp", '#include "nowhere/a.h"\n'),
                   ("src/attic/old.cpp", "int x;\n")]
        for name, text in planted:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
            found, _, _ = check(root)
            assert len(found) == 1, f"{name} was planted and {len(found)} complaints came: {found}"
            (root / name).unlink()
        (root / "CMakeLists.txt").write_text("fathom_room(base USES data)\nfathom_room(data USES base)\n")
        assert read_arrows(root)[1], "an upward USES entry was not found"
    print("check_layers: every planted include was found")


def main():
    if sys.argv[1:] == ["--self-test"]:
        self_test()
        return 0
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent
    wrong, checked, arrows = check(root)
    for line in wrong:
        print(line, file=sys.stderr)
    print(f"check_layers: {checked} files, {len(arrows)} rooms, {len(wrong)} wrong includes")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
