"""Engine names to modules. Each has VERSION, prepare(folder, name, shape, arguments), files(folder, shape, precision) and
load(folder, shape, precision, threads, fixed) -> (run(inputs) -> hidden states, the numbers it says to compute in)."""
import importlib

MODULES = {"ort": "peers.ort", "openvino": "peers.openvino_cpu", "ct2": "peers.ct2"}


def module(engine):
    return importlib.import_module(MODULES[engine])
