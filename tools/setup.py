#!/usr/bin/env python3
"""Installs what a build of Fathom needs and this machine lacks. Run by make; safe to run again and to interrupt.

Debian packages (requirements/debian.txt) by apt-get when this user may, else the line to run is printed.
PyPI packages (requirements/train.txt, hashes checked) and LightGBM's headers into .deps, through pip's configured
index. A part is made in a temporary folder, renamed when whole, and stamped with the hash of what was asked for.
--aarch64: the cross compiler, qemu-user, and Debian's arm64 libraries (requirements/debian-aarch64.txt), unpacked into
.deps/aarch64 without installing them.
--gates: clang and its sanitizers (requirements/debian-gates.txt), and nothing else.
--bench: the engines that make bench compares with (requirements/bench.txt), a virtual environment in .deps/bench.
"""
import argparse
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = ROOT / "requirements"


def say(text):
    print("setup: " + text, file=sys.stderr, flush=True)


def fail(text, hint):
    print(f"error FTH-102: {text}\n  next: {hint}", file=sys.stderr)
    sys.exit(1)


def is_there(proof):
    """A program on PATH, or a file below /usr, a pattern perhaps (lib/ also below the multiarch folders)."""
    if "/" not in proof:
        return shutil.which(proof) is not None
    folder, name = proof.split("/", 1)
    places = [Path("/usr") / folder, Path("/usr/local") / folder]
    places += [p for base in places[:] for p in base.glob("*-linux-gnu")]
    return any(next(place.glob(name), None) for place in places if place.is_dir())


def rows(name):
    """The words of each line of a file in requirements/."""
    lines = [line.split("#")[0].split() for line in (REQUIREMENTS / name).read_text().splitlines()]
    return [words for words in lines if words]


def missing_packages(name):
    return [package for package, proof in rows(name) if not is_there(proof)]


def install_debian(packages):
    if not packages:
        return
    line = "apt-get install -y --no-install-recommends " + " ".join(packages)
    if shutil.which("apt-get") is None:
        fail("missing: " + " ".join(packages) + ", and there is no apt-get here",
             "install these (Debian's names) with this system's package manager, then run make again")
    if os.geteuid() == 0:
        prefix = []
    elif shutil.which("sudo") and subprocess.run(["sudo", "-n", "true"], capture_output=True).returncode == 0:
        prefix = ["sudo", "-n"]
    else:
        fail("missing Debian packages, and this user may not install them",
             f"sudo apt-get update && sudo {line}   (then run make again)")
    say("installing " + " ".join(packages))
    quiet = dict(stdout=sys.stderr.fileno())
    environment = ["env", "DEBIAN_FRONTEND=noninteractive"]
    install = prefix + environment + line.split()
    if subprocess.run(install, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0:
        return
    subprocess.run(prefix + environment + ["apt-get", "update"], **quiet)
    if subprocess.run(install, **quiet).returncode != 0:
        fail("apt-get could not install " + " ".join(packages), "see its message above; then run make again")


def find_pip():
    for python in dict.fromkeys([sys.executable, "/usr/bin/python3"]):
        if python and Path(python).exists():
            if subprocess.run([python, "-m", "pip", "--version"], capture_output=True).returncode == 0:
                return [python, "-m", "pip"]
    return None


def run_pip(pip, arguments):
    command = pip + arguments + ["--disable-pip-version-check", "--no-input"]
    if subprocess.run(command, stdout=sys.stderr.fileno()).returncode != 0:
        fail("pip could not fetch what requirements/ names", "see its message above (network? index?); make goes on where it stopped")


def wanted_wheels():
    """requirements/train.txt as text; without torch and its CUDA libraries when FATHOM_TORCH names another LibTorch."""
    text = (REQUIREMENTS / "train.txt").read_text()
    if os.environ.get("FATHOM_TORCH"):
        blocks = text.replace("\\\n", "\0").splitlines()
        text = "\n".join(b for b in blocks if b.startswith("lightgbm")).replace("\0", "\\\n") + "\n"
    return text


def stamped(folder, key):
    try:
        return (folder / ".stamp").read_text() == key
    except OSError:
        return False


def put_in_place(made, folder, key):
    (made / ".stamp").write_text(key)
    if folder.exists():
        old = made.with_name(made.name + ".old")
        folder.rename(old)
        made.rename(folder)
        shutil.rmtree(old)
    else:
        folder.parent.mkdir(parents=True, exist_ok=True)
        made.rename(folder)


def install_wheels(deps, work):
    text = wanted_wheels()
    key = hashlib.sha256(text.encode()).hexdigest()
    if stamped(deps / "pypi", key):
        return
    say("installing LibTorch and LightGBM into " + str(deps / "pypi") + " (about 2 GB unpacked)")
    requirements = work / "requirements.txt"
    requirements.write_text(text)
    run_pip(need_pip(), ["install", "--no-deps", "--no-compile", "--only-binary", ":all:", "--require-hashes",
                         "--target", str(work / "pypi"), "-r", str(requirements)])
    put_in_place(work / "pypi", deps / "pypi", key)


def install_headers(deps, work):
    requirements = REQUIREMENTS / "lightgbm-source.txt"
    key = hashlib.sha256(requirements.read_bytes()).hexdigest()
    target = deps / "src" / "lightgbm"
    if stamped(target, key):
        return
    say("fetching LightGBM's headers")
    run_pip(need_pip(), ["download", "--no-deps", "--no-binary", "lightgbm", "--require-hashes",
                         "--dest", str(work / "sdist"), "-r", str(requirements)])
    made = work / "lightgbm"
    with tarfile.open(next((work / "sdist").glob("lightgbm-*.tar.gz"))) as archive:
        for member in archive.getmembers():
            parts = Path(member.name).parts[1:]  # the hash was checked; still, nothing but plain headers is taken
            if member.isfile() and parts[:2] == ("include", "LightGBM") and ".." not in parts:
                place = made.joinpath(*parts)
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(archive.extractfile(member).read())
    if not (made / "include/LightGBM/c_api.h").exists():
        fail("LightGBM's source release holds no include/LightGBM/c_api.h", "report this; the pinned version changed its layout")
    put_in_place(made, target, key)


def install_bench(deps, work):
    """Its python finds its packages wherever the folder lies: put in place by renaming, like the rest."""
    requirements = REQUIREMENTS / "bench.txt"
    key = hashlib.sha256(requirements.read_bytes()).hexdigest()
    if stamped(deps / "bench", key):
        return
    pip, made = need_pip(), work / "bench"
    say("installing ONNX Runtime, OpenVINO, CTranslate2 and PyTorch into " + str(deps / "bench") + " (about 5 GB unpacked)")
    if subprocess.run([pip[0], "-m", "venv", "--without-pip", str(made)]).returncode != 0:
        fail("this Python cannot make a virtual environment", "install python3-venv, then run make again")
    run_pip(pip + ["--python", str(made / "bin/python")], ["install", "--no-deps", "--no-compile", "--only-binary", ":all:", "-r", str(requirements)])
    put_in_place(made, deps / "bench", key)


def run_apt(options, arguments, folder):
    if subprocess.run(["apt-get"] + options + arguments, cwd=folder, stdout=sys.stderr.fileno()).returncode != 0:
        fail("apt-get could not fetch arm64 packages", "see its message above; the sources it is set up with must offer arm64")


def install_aarch64(deps, work):
    """Static libraries and headers for arm64. apt works in a folder of its own: this machine's packages stay as they are."""
    packages = [words[0] for words in rows("debian-aarch64.txt")]
    key = hashlib.sha256(" ".join(packages).encode()).hexdigest()
    if stamped(deps / "aarch64", key):
        return
    if not all(shutil.which(program) for program in ["apt-get", "dpkg-deb"]):
        fail("there is no apt-get here, which fetches arm64 libraries", "build for aarch64 on Debian, or on an ARM machine with plain make")
    say("fetching arm64 libraries into " + str(deps / "aarch64"))
    for folder in ["apt/lists/partial", "apt/cache/archives/partial", "debs", "aarch64"]:
        (work / folder).mkdir(parents=True)
    (work / "apt/status").touch()
    options = ["-qq"]
    settings = {"APT::Architecture": "arm64", "APT::Architectures": "arm64", "APT::Sandbox::User": "", "Dir::State": "apt",
                "Dir::State::lists": "apt/lists", "Dir::State::status": "apt/status", "Dir::Cache": "apt/cache"}
    for name, value in settings.items():
        options += ["-o", f"{name}={work / value if name.startswith('Dir') else value}"]
    run_apt(options, ["update"], work)
    run_apt(options, ["download"] + packages, work / "debs")
    for package in sorted((work / "debs").glob("*.deb")):
        if subprocess.run(["dpkg-deb", "-x", str(package), str(work / "aarch64")]).returncode != 0:
            fail(f"{package.name} could not be unpacked", "run make aarch64 again")
    for link in (work / "aarch64").rglob("*.so"):  # to shared libraries that are not here: everything is linked statically
        link.unlink()
    include = work / "aarch64/usr/include"
    for header in (include / "aarch64-linux-gnu").glob("*"):  # a folder that compilers search on ARM machines only
        header.rename(include / header.name)
    put_in_place(work / "aarch64", deps / "aarch64", key)


PIP = []


def need_pip():
    if not PIP:
        pip = find_pip()
        if pip is None:
            install_debian(["python3-pip", "python3-venv"])
            pip = find_pip()
        if pip is None:
            fail("this Python has no pip", "install python3-pip, then run make again")
        PIP.extend(pip)
    return PIP


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--deps", type=Path, default=ROOT / ".deps", help="where PyPI packages go (default: .deps)")
    parser.add_argument("--runtime", action="store_true", help="only what `fathom` needs: no LibTorch, no LightGBM")
    parser.add_argument("--aarch64", action="store_true", help="what the preset aarch64 needs, and nothing for fathom-train")
    parser.add_argument("--bench", action="store_true", help="what make bench compares with, and nothing for fathom-train")
    parser.add_argument("--gates", action="store_true", help="only what tools/gates.py needs")
    options = parser.parse_args()
    if options.gates:
        install_debian(missing_packages("debian.txt") + missing_packages("debian-gates.txt"))
        return
    install_debian(missing_packages("debian.txt") + (missing_packages("debian-cross.txt") if options.aarch64 else []))
    if options.runtime and not options.aarch64 and not options.bench:
        return
    deps = options.deps.resolve()
    deps.mkdir(parents=True, exist_ok=True)
    with open(deps / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for left in deps.glob("partial-*"):
            shutil.rmtree(left, ignore_errors=True)
        work = deps / f"partial-{os.getpid()}"
        work.mkdir()
        try:
            if options.aarch64:
                install_aarch64(deps, work)
            elif options.bench:
                install_bench(deps, work)
            else:
                install_wheels(deps, work)
                install_headers(deps, work)
        finally:
            shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        say("interrupted; run make again to go on")
        sys.exit(130)
