"""Makes what is missing in a models folder: weights, inputs, reference answers, and each engine's own files.

    python3 -m peers.prepare FOLDER [SHAPE...]     (in bench/, with the packages of requirements/bench.txt)
"""
import sys
from pathlib import Path

from harness.workloads import PEERS, SHAPES, WORKLOADS
from peers import engines


def say(text):
    print("peers: " + text, file=sys.stderr, flush=True)


def prepare_reference(folder, name):
    """Weights and workloads of a shape; a file is there when it is whole."""
    from peers import models

    wanted = {folder / f"{w}.safetensors": w for w, workload in WORKLOADS.items() if workload.shape == name}
    weights = folder / f"{name}.safetensors"
    if weights.exists() and all(path.exists() for path in wanted):
        return
    say(f"{name}: weights, inputs, answers in float32")
    model = models.build(name, fused=False)
    for path, workload in wanted.items():
        part = path.with_suffix(".part")
        models.write_workload(model, workload, part)
        part.rename(path)
    part = weights.with_suffix(".part")
    models.write_weights(model, part)
    part.rename(weights)


def example(name):
    """The largest batch of a shape: no axis of it is 1."""
    from peers import models

    return models.inputs_of(max((w for w, workload in WORKLOADS.items() if workload.shape == name), key=lambda w: len(WORKLOADS[w].lengths)))


def prepare_engine(folder, name, engine):
    done, module = folder / f"{name}.{engine}.done", engines.module(engine)
    if done.exists() and done.read_text() == module.VERSION:
        return
    say(f"{name}: {PEERS[engine].name} {module.VERSION}")
    module.prepare(folder, name, SHAPES[name], example(name))
    done.write_text(module.VERSION)


def main():
    folder, names = Path(sys.argv[1]), sys.argv[2:] or list(SHAPES)
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        prepare_reference(folder, name)
        for engine, peer in PEERS.items():
            if name in peer.shapes:
                prepare_engine(folder, name, engine)


if __name__ == "__main__":
    main()
