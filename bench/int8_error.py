#!/usr/bin/env python3
"""Where the error of int8 layers comes from: a BERT encoder of peers.py with weights, activations or both rounded, in torch.

    python3 bench/int8_error.py MODELS/bert.safetensors MODELS/W2.safetensors     # needs torch and safetensors

Prints the cosine of the last states with those in float32 (docs/adr/0012, 0018). Rounding is what src/kernels/table.h states. MODELS/bert.safetensors may
be the model.safetensors of a fine-tuned BERT or MiniLM as well: only trained layers have the few large numbers that fixed ranges fail on.
"""
import sys

import torch
from safetensors.torch import load_file

HEADS = 12


def weights(group=0, keep_sum=False, top=127):
    """Symmetric int8 (top 7: 4 bits), one scale a row or `group` columns; keep_sum: a few roundings are turned so that every row keeps its sum."""
    def rounded(w):
        shape = w.shape
        if group:
            w = w.reshape(shape[0], -1, group)
        scale = w.abs().amax(-1, keepdim=True) / top
        q = torch.round(w / scale)
        if keep_sum:
            error = w / scale - q
            for row, total in enumerate(torch.round(error.sum(-1)).long().tolist()):
                turned = torch.topk(error[row] if total > 0 else -error[row], abs(total)).indices
                q[row, turned] += 1 if total > 0 else -1
        return (q.clamp(-top, top) * scale).reshape(shape)
    return rounded


def activations(levels, ranges=None):
    """One range a row that includes 0, which is exact; ranges: {map: (low, high)}, one for all rows of a map, what lies beyond is cut."""
    def rounded(x, name=None):
        if ranges is not None:
            low, high = ranges[name]
        else:
            low, high = x.amin(-1, keepdim=True).clamp(max=0), x.amax(-1, keepdim=True).clamp(min=0)
        scale = (high - low) / levels
        zero = torch.round(-low / scale)
        return (torch.clamp(torch.round(x / scale) + zero, 0, levels) - zero) * scale
    return rounded


def ranges_of(read, beyond):
    """{map: (low, high)} of rows that were read; `beyond`: share of the numbers that a side leaves out."""
    out = {}
    for name, x in read.items():
        x, leave = x.flatten().sort().values, int(beyond * x.numel())
        out[name] = x[leave].clamp(max=0), x[-1 - leave].clamp(min=0)
    return out


def same(x, name=None):
    return x


def encode(model, inputs, of_weights, of_activations, means=None, seen_means=None, centred=False, read=None):
    """means: {map: (mean of its inputs, of its rounded inputs)}: biases take back what rounding does to the mean of the output.
    seen_means: (empty dict to fill with them, rounding). centred: what attention mixes is rounded around its mean, which a bias adds.
    read: an empty dict to fill with what every map reads."""
    ids, mask = inputs["input_ids"], inputs["attention_mask"]
    batch, tokens = ids.shape
    hidden = model["embeddings.word_embeddings.weight"].shape[1]

    def norm(x, name):
        return torch.nn.functional.layer_norm(x, (hidden,), model[name + ".weight"], model[name + ".bias"], 1e-12)

    def linear(x, name):
        if seen_means is not None:
            seen_means[0][name] = x[mask.bool()].mean(0), seen_means[1](x)[mask.bool()].mean(0)
        if read is not None:
            read[name] = x[mask.bool()]
        w, bias = of_weights(model[name + ".weight"]), model[name + ".bias"]
        if centred and name.endswith("attention.output.dense"):
            return of_activations(x - means[name][0]) @ w.T + bias + model[name + ".weight"] @ means[name][0]
        if means is not None:
            bias = bias + model[name + ".weight"] @ means[name][0] - w @ means[name][1]
        return of_activations(x, name) @ w.T + bias

    x = (model["embeddings.word_embeddings.weight"][ids] + model["embeddings.position_embeddings.weight"][:tokens]
         + model["embeddings.token_type_embeddings.weight"][inputs["token_type_ids"]])
    x = norm(x, "embeddings.LayerNorm")
    seen = torch.zeros(batch, 1, 1, tokens).masked_fill(mask[:, None, None, :] == 0, -1e30)
    layer = 0
    while f"encoder.layer.{layer}.output.dense.weight" in model:
        at = f"encoder.layer.{layer}."
        q, k, v = [linear(x, at + "attention.self." + part).view(batch, tokens, HEADS, -1).transpose(1, 2) for part in ("query", "key", "value")]
        mixed = torch.softmax(q @ k.transpose(2, 3) / (hidden // HEADS) ** 0.5 + seen, -1) @ v
        x = norm(x + linear(mixed.transpose(1, 2).reshape(batch, tokens, hidden), at + "attention.output.dense"), at + "attention.output.LayerNorm")
        x = norm(x + linear(torch.nn.functional.gelu(linear(x, at + "intermediate.dense")), at + "output.dense"), at + "output.LayerNorm")
        layer += 1
    return x[mask.bool()]


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    model, inputs = map(load_file, sys.argv[1:])
    model = {name.removeprefix("bert."): tensor for name, tensor in model.items()}
    with torch.no_grad():
        exact = encode(model, inputs, same, same)
        print(f"similarity of the tokens' states  {torch.corrcoef(exact[:5]).mean():.5f}")
        for name, of_weights, of_activations in (
                ("weights, 256 levels of activations", weights(), activations(255)), ("weights, 128 levels", weights(), activations(127)),
                ("weights alone", weights(), same), ("256 levels of activations alone", same, activations(255)),
                ("weights with kept row sums, 256 levels", weights(keep_sum=True), activations(255)),
                ("weights in groups of 64, 256 levels", weights(group=64), activations(255)),
                ("weights of 4 bits alone, groups of 32", weights(group=32, top=7), same), ("groups of 64", weights(group=64, top=7), same)):
            got = encode(model, inputs, of_weights, of_activations)
            cosine = torch.nn.functional.cosine_similarity(exact.flatten(), got.flatten(), 0)
            print(f"{name:42} {cosine:.5f}", flush=True)
        other = torch.randint(0, len(model["embeddings.word_embeddings.weight"]), (16, 33), generator=torch.Generator().manual_seed(7))
        other = {"input_ids": other, "attention_mask": torch.ones_like(other), "token_type_ids": torch.zeros_like(other)}
        read = {}
        encode(model, other, same, same, read=read)
        for beyond in (0, 1e-4, 1e-3):
            got = encode(model, inputs, same, activations(255, ranges_of(read, beyond)))
            cosine = torch.nn.functional.cosine_similarity(exact.flatten(), got.flatten(), 0)
            print(f"{f'256 levels alone, fixed ranges, {100 * beyond:g} % cut':42} {cosine:.5f}", flush=True)
        for levels in (255, 127):
            means = {}
            encode(model, other, same, same, None, (means, activations(levels)))
            for what, centred in (("biases corrected", False), ("and attention's mixtures centred", True)):
                got = encode(model, inputs, weights(), activations(levels), means, centred=centred)
                cosine = torch.nn.functional.cosine_similarity(exact.flatten(), got.flatten(), 0)
                print(f"{f'{what}, {levels + 1} levels':42} {cosine:.5f}", flush=True)


if __name__ == "__main__":
    main()
