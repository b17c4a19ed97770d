"""How near an engine's hidden states are to the reference's, padding left out. Standard library alone."""
import array
import json
import math
import struct
from operator import mul

KINDS = {"F32": "f", "I64": "q"}


def read_tensors(path, names):
    """{name: (values, shape)} of those of `names` that a safetensors file holds."""
    with open(path, "rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(size))
        found = {}
        for name in names:
            if name in header:
                begin, end = header[name]["data_offsets"]
                file.seek(8 + size + begin)
                values = array.array(KINDS[header[name]["dtype"]])
                values.frombytes(file.read(end - begin))
                found[name] = values, header[name]["shape"]
    return found


def compare(inputs, output):
    """cosine and max_abs_error of the float32 values in the file `output` against last_hidden_state in `inputs`."""
    tensors = read_tensors(inputs, ("last_hidden_state", "attention_mask"))
    expected, shape = tensors["last_hidden_state"]
    got = array.array("f")
    got.frombytes(output.read_bytes())
    if len(got) != len(expected):
        raise ValueError(f"the output has {len(got)} values, expected {len(expected)}")
    if "attention_mask" in tensors:
        width, mask = shape[2], tensors["attention_mask"][0]
        for values in (got, expected):
            for place, real in enumerate(mask):
                if not real:
                    values[place * width:(place + 1) * width] = array.array("f", bytes(4 * width))
    product, squares, others = (sum(map(mul, a, b)) for a, b in ((got, expected), (got, got), (expected, expected)))
    worst = max(map(abs, map(float.__sub__, got, expected)))
    if not math.isfinite(product) or squares == 0:
        raise ValueError("the output is no row of finite numbers that differ from zero")
    return {"cosine": product / math.sqrt(squares * others), "max_abs_error": worst}
