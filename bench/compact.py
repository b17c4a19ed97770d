#!/usr/bin/env python3
"""`--preset compact` beside the shapes of DistilBERT and MobileBERT: one text at a time, one thread, int8, time and peak memory.

    python3 bench/compact.py COMPACT_BUNDLE --tokenizer CHECKPOINT [--tokens 45] [--repeats 5] [--out runs/compact]

DistilBERT (6 layers x 768) has random weights and runs through Fathom (int8) and ONNX Runtime (its own graph optimizer, dynamic int8 by
channel). MobileBERT has, too: ONNX Runtime runs it as transformers defines it; Fathom does not compute its bottlenecks, and runs the plain
BERT that comes nearest from below instead (24 layers x 256: 94 % of its layers' weights and multiply-adds). Engines take turns, a fresh process each, medians of
the repeats. Peak memory is the process's high-water mark; of Python's, what stood before the model was loaded is left out.
Needs build/release/fathom and the packages torch, transformers, onnx, onnxruntime.
"""
import argparse
import json
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

FATHOM = Path(__file__).resolve().parents[1] / "build/release/fathom"


def run(*command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"compact: {' '.join(map(str, command))}\n{done.stderr}")
    return done.stdout


def distilbert():
    from transformers import DistilBertConfig, DistilBertForSequenceClassification

    return DistilBertForSequenceClassification(DistilBertConfig(num_labels=4))


def mobilebert():
    from transformers import MobileBertConfig, MobileBertForSequenceClassification

    return MobileBertForSequenceClassification(MobileBertConfig(num_labels=4))


def bert_24x256():
    from transformers import BertConfig, BertForSequenceClassification

    return BertForSequenceClassification(BertConfig(num_hidden_layers=24, hidden_size=256, num_attention_heads=4, intermediate_size=1024, num_labels=4))


MODELS = {"distilbert": distilbert, "mobilebert": mobilebert, "bert-24x256": bert_24x256}


def built(name):
    import torch

    torch.manual_seed(7)
    return MODELS[name]().eval()


def fathom_bundle(name, tokenizer, out):
    bundle = out / f"{name}.int8"
    if bundle.exists():
        return bundle
    checkpoint = out / name
    built(name).save_pretrained(checkpoint)
    for file in ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "special_tokens_map.json"):
        if (tokenizer / file).exists():
            shutil.copy(tokenizer / file, checkpoint / file)
    run(FATHOM, "import", checkpoint, "-o", out / f"{name}.fp32")
    run(FATHOM, "compress", out / f"{name}.fp32", "--precision", "int8", "-o", bundle)
    return bundle


def onnx_file(name, out):
    small = out / f"{name}.int8.onnx"
    if small.exists():
        return small
    import onnx
    import torch
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.transformers.optimizer import optimize_model

    raw, fused = out / f"{name}.onnx", out / f"{name}.opt.onnx"
    ids = torch.randint(1000, 30000, (2, 16))
    axes = {"input_ids": {0: "batch", 1: "tokens"}, "attention_mask": {0: "batch", 1: "tokens"}, "logits": {0: "batch"}}
    model = built(name)
    model.config._attn_implementation = "eager"  # the form that the optimizer knows
    with torch.no_grad():
        torch.onnx.export(model, (ids, torch.ones_like(ids)), raw, input_names=["input_ids", "attention_mask"], output_names=["logits"], opset_version=17,
                          dynamic_axes=axes, dynamo=False)
    graph = optimize_model(str(raw), model_type="bert", num_heads=model.config.num_attention_heads, hidden_size=model.config.hidden_size, opt_level=1)
    graph.save_model_to_file(str(fused))
    quantize_dynamic(fused, small, per_channel=True, weight_type=QuantType.QInt8, extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT})
    return small


ORT_ROW = """
import json, statistics, sys, time
import numpy, onnxruntime
peak = lambda: next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) * 1024 / 1e6
before = peak()
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
ids = numpy.random.default_rng(3).integers(1000, 30000, (1, int(sys.argv[2])))
feed = {"input_ids": ids, "attention_mask": numpy.ones_like(ids)}
feed = {i.name: feed[i.name] for i in session.get_inputs()}
times = []
end = time.perf_counter() + 0.3 + float(sys.argv[3])
while time.perf_counter() < end or len(times) < 20:
    start = time.perf_counter()
    session.run(None, feed)
    times.append(1e3 * (time.perf_counter() - start))
print(json.dumps({"ms": statistics.median(times[3:]), "mb": peak() - before}))
"""


def ort_row(path, tokens, seconds):
    return json.loads(run(sys.executable, "-c", ORT_ROW, path, tokens, seconds))


def fathom_row(bundle, tokens, seconds):
    told = json.loads(run(FATHOM, "bench", bundle, "--tokens", tokens, "--threads", 1, "--seconds", seconds, "--trajectories", 0, "--json"))
    full = told["systems"]["full_depth"]
    return {"ms": full["latency_ms"]["p50"], "mb": full["peak_mb"]}


def size_mb(path):
    if path.is_file():
        return path.stat().st_size / 1e6
    return sum(entry["bytes"] for entry in json.loads((path / "fathom.json").read_text())["files"].values()) / 1e6


def main():
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("bundles", type=Path, nargs="+")
    flags.add_argument("--tokenizer", type=Path, required=True)
    flags.add_argument("--tokens", type=int, default=45)
    flags.add_argument("--repeats", type=int, default=5)
    flags.add_argument("--seconds", type=float, default=1)
    flags.add_argument("--out", type=Path, default=Path("runs/compact"))
    asked = flags.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    rows = {f"Fathom {bundle.name}, full depth": (fathom_row, bundle) for bundle in asked.bundles}
    for name in ("distilbert", "bert-24x256"):
        rows[f"Fathom {name} int8"] = (fathom_row, fathom_bundle(name, asked.tokenizer, asked.out))
    for name in ("distilbert", "mobilebert"):
        rows[f"ONNX Runtime {name} int8"] = (ort_row, onnx_file(name, asked.out))
    seen = {name: [] for name in rows}
    for _ in range(asked.repeats):
        for name, (measure, what) in rows.items():
            seen[name].append(measure(what, asked.tokens, asked.seconds))
    print(f"{asked.tokens} tokens, one text at a time, one thread; medians of {asked.repeats}")
    for name, (_, what) in rows.items():
        print(f"{name:44s} {statistics.median(r['ms'] for r in seen[name]):8.2f} ms {statistics.median(r['mb'] for r in seen[name]):8.1f} MB peak {size_mb(what):8.1f} MB of files")


if __name__ == "__main__":
    main()
