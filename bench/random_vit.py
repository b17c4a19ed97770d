#!/usr/bin/env python3
"""A Vision Transformer of random weights as a Hugging Face folder: a start for `fathom fit --from`, or a shape to measure.

    python3 bench/random_vit.py FOLDER [--layers 12] [--hidden 768] [--heads 12] [--image 224] [--patch 32] [--classes 10] [--seed 1]
    python3 bench/random_vit.py FOLDER ... --encoder     # without classifier: `fit --from` trains one
    python3 bench/random_vit.py --pictures N FOLDER      # instead: N random PNG pictures of --image a side, without labels

Weights are normal with deviation 0.02, norms 1 and 0, as transformers draws them. Standard library alone.
"""
import argparse
import array
import json
import random
import struct
import zlib
from pathlib import Path


def shapes(layers, hidden, image, patch, classes, encoder):
    inside = "" if encoder else "vit."
    out = {f"{inside}embeddings.cls_token": (1, 1, hidden), f"{inside}embeddings.position_embeddings": (1, (image // patch) ** 2 + 1, hidden),
           f"{inside}embeddings.patch_embeddings.projection.weight": (hidden, 3, patch, patch),
           f"{inside}embeddings.patch_embeddings.projection.bias": (hidden,)}
    for i in range(layers):
        layer = f"{inside}encoder.layer.{i}."
        maps = {f"attention.attention.{part}": (hidden, hidden) for part in ("query", "key", "value")}
        maps |= {"attention.output.dense": (hidden, hidden), "intermediate.dense": (4 * hidden, hidden), "output.dense": (hidden, 4 * hidden)}
        for name, shape in maps.items():
            out |= {f"{layer}{name}.weight": shape, f"{layer}{name}.bias": shape[:1]}
        for name in ("layernorm_before", "layernorm_after"):
            out |= {f"{layer}{name}.weight": (hidden,), f"{layer}{name}.bias": (hidden,)}
    out |= {f"{inside}layernorm.weight": (hidden,), f"{inside}layernorm.bias": (hidden,)}
    return out if encoder else out | {"classifier.weight": (classes, hidden), "classifier.bias": (classes,)}


def floats(name, shape, draw):
    count = 1
    for side in shape:
        count *= side
    if len(shape) == 1:
        return array.array("f", [1.0 if "layernorm" in name and name.endswith("weight") else 0.0]) * count
    return array.array("f", (draw.gauss(0.0, 0.02) for _ in range(count)))


def write_model(folder, asked):
    folder.mkdir(parents=True, exist_ok=True)
    draw = random.Random(asked.seed)
    header, at, parts = {"__metadata__": {"format": "pt"}}, 0, []
    for name, shape in sorted(shapes(asked.layers, asked.hidden, asked.image, asked.patch, asked.classes, asked.encoder).items()):
        parts.append(floats(name, shape, draw).tobytes())
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [at, at + len(parts[-1])]}
        at += len(parts[-1])
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(folder / "model.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.writelines(parts)
    config = {"model_type": "vit", "hidden_size": asked.hidden, "num_hidden_layers": asked.layers, "num_attention_heads": asked.heads,
              "intermediate_size": 4 * asked.hidden, "hidden_act": "gelu", "image_size": asked.image, "patch_size": asked.patch,
              "num_channels": 3, "qkv_bias": True, "layer_norm_eps": 1e-12, "dtype": "float32"}
    if not asked.encoder:
        names = [f"class_{i}" for i in range(asked.classes)]
        config |= {"architectures": ["ViTForImageClassification"], "id2label": {str(i): n for i, n in enumerate(names)},
                   "label2id": {n: i for i, n in enumerate(names)}}
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    size = {"height": asked.image, "width": asked.image}
    preprocessor = {"image_processor_type": "ViTImageProcessor", "do_resize": True, "size": size, "resample": 2, "do_rescale": True,
                    "rescale_factor": 1 / 255, "do_normalize": True, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor, indent=1) + "\n")


def png(side, draw):
    """Coarse random squares, so that pictures differ by more than noise."""
    cells = [[draw.randbytes(3) for _ in range(8)] for _ in range(8)]
    rows = b"".join(b"\0" + b"".join(cells[8 * y // side][8 * x // side] for x in range(side)) for y in range(side))

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)) +
            chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def main():
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("folder", type=Path)
    for name, value in (("layers", 12), ("hidden", 768), ("heads", 12), ("image", 224), ("patch", 32), ("classes", 10), ("seed", 1), ("pictures", 0)):
        flags.add_argument(f"--{name}", type=int, default=value)
    flags.add_argument("--encoder", action="store_true")
    asked = flags.parse_args()
    if asked.pictures == 0:
        return write_model(asked.folder, asked)
    draw = random.Random(asked.seed)
    asked.folder.mkdir(parents=True, exist_ok=True)
    for i in range(asked.pictures):
        (asked.folder / f"{i:05}.png").write_bytes(png(asked.image, draw))


if __name__ == "__main__":
    main()
