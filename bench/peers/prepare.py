"""Makes what is missing in a models folder, or was made by other code or another version: weights, inputs, reference answers, and each engine's own files.

    python3 -m peers.prepare FOLDER [SHAPE...]     (in bench/, with the packages of requirements/bench.txt)
"""
import hashlib
import sys
from pathlib import Path

from harness.workloads import PEERS, SHAPES, WORKLOADS
from peers import engines


def say(text):
    print("peers: " + text, file=sys.stderr, flush=True)


def recipe(*files):
    """Changes with the code that makes something."""
    here = Path(__file__).parent
    return hashlib.sha256(b"".join((here / name).read_bytes() for name in ("models.py", *files))).hexdigest()[:12]


def prepare_once(stamp, key, what, make):
    if stamp.exists() and stamp.read_text() == key:
        return
    say(what)
    make()
    stamp.write_text(key)


def prepare_reference(folder, name):
    """Weights and workloads of a shape."""
    from peers import models

    model = models.build(name, fused=False)
    models.write_weights(model, folder / f"{name}.safetensors")
    for workload in (w for w, entry in WORKLOADS.items() if entry.shape == name):
        models.write_workload(model, workload, folder / f"{workload}.safetensors")


def example(name):
    """The largest batch of a shape: no axis of it is 1."""
    from peers import models

    return models.inputs_of(max((w for w, workload in WORKLOADS.items() if workload.shape == name), key=lambda w: len(WORKLOADS[w].lengths)))


def prepare_all(folder, name):
    prepare_once(folder / f"{name}.reference.done", recipe(), f"{name}: weights, inputs, answers in float32",
                 lambda: prepare_reference(folder, name))
    for engine, peer in PEERS.items():
        if name in peer.shapes:
            module = engines.module(engine)
            prepare_once(folder / f"{name}.{engine}.done", f"{module.VERSION} {recipe(Path(module.__file__).name)}",
                         f"{name}: {peer.name} {module.VERSION}", lambda: module.prepare(folder, name, SHAPES[name], example(name)))


def main():
    folder, names = Path(sys.argv[1]), sys.argv[2:] or list(SHAPES)
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        prepare_all(folder, name)


if __name__ == "__main__":
    main()
