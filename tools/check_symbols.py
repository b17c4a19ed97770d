#!/usr/bin/env python3
"""check_symbols.py NM OBJECTS...: no kernel object may define a symbol that the linker could take for others.

Objects compiled for AVX must not hold weak (inline, template) symbols: the linker keeps one copy of each, and an AVX
copy chosen for portable code crashes older CPUs. Objects of a tier define strong symbols of their own namespace only.
"""
import subprocess
import sys

SUPPORT = {"DW.ref.__gxx_personality_v0", "__clang_call_terminate"}  # the compiler's own, the same everywhere


def main():
    nm, objects = sys.argv[1], [o for argument in sys.argv[2:] for o in argument.split(";") if o]
    wrong = []
    for path in objects:
        listing = subprocess.run([nm, "--defined-only", "--demangle", path], capture_output=True, text=True, check=True).stdout
        for line in listing.splitlines():
            words = line.split(maxsplit=2)
            if len(words) == 3 and words[1] in "WVuwv" and words[2] not in SUPPORT:
                wrong.append(f"{path}: weak symbol {words[2]}")
    for line in wrong:
        print(line, file=sys.stderr)
    print(f"check_symbols: {len(objects)} objects, {len(wrong)} weak symbols")
    return 1 if wrong or not objects else 0


if __name__ == "__main__":
    sys.exit(main())
