"""Random-weight encoders in PyTorch from a fixed seed, their inputs, and what they answer in float32: the reference.

Files, in a models folder: SHAPE.safetensors (weights by the names that Fathom reads, docs/formats) and WORKLOAD.safetensors
(input_ids, attention_mask, token_type_ids as int64, or pixel_values; and last_hidden_state, the reference).
`fused` picks how attention is written, not what it computes: engines recognise different forms.
"""
import math

import numpy
import torch
from safetensors.torch import save_file
from torch import nn

from harness.workloads import SHAPES, WORKLOADS

NORM_EPS = 1e-12
MASKED = -10000.0
SEED = 7


def linear_and_norm(inner, hidden, with_norm):
    parts = {"dense": nn.Linear(inner, hidden)}
    if with_norm:
        parts["LayerNorm"] = nn.LayerNorm(hidden, eps=NORM_EPS)
    return nn.ModuleDict(parts)


class Layer(nn.Module):
    """One encoder layer; norms after each half (texts) or before it (pictures)."""

    def __init__(self, shape, fused):
        super().__init__()
        self.heads, self.fused, self.norm_first = shape.heads, fused, bool(shape.picture)
        maps = nn.ModuleDict({name: nn.Linear(shape.hidden, shape.hidden) for name in ("query", "key", "value")})
        self.attention = nn.ModuleDict({"self": maps, "output": linear_and_norm(shape.hidden, shape.hidden, not self.norm_first)})
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(shape.hidden, shape.ffn)})
        self.output = linear_and_norm(shape.ffn, shape.hidden, not self.norm_first)
        if self.norm_first:
            self.layernorm_before = nn.LayerNorm(shape.hidden, eps=NORM_EPS)
            self.layernorm_after = nn.LayerNorm(shape.hidden, eps=NORM_EPS)

    def split(self, x):
        return x.view(x.size()[:-1] + (self.heads, x.size(-1) // self.heads)).permute(0, 2, 1, 3)

    def attend(self, x, mask):
        maps = self.attention["self"]
        query, key, value = (self.split(maps[name](x)) for name in ("query", "key", "value"))
        if self.fused:
            mixed = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        else:
            scores = torch.matmul(query, key.transpose(-1, -2)) / math.sqrt(query.size(-1))
            mixed = torch.matmul(torch.softmax(scores if mask is None else scores + mask, dim=-1), value)
        mixed = mixed.permute(0, 2, 1, 3).contiguous()
        return mixed.view(mixed.size()[:-2] + (mixed.size(-2) * mixed.size(-1),))

    def feed_forward(self, x):
        return self.output["dense"](nn.functional.gelu(self.intermediate["dense"](x)))

    def forward(self, x, mask):
        out = self.attention["output"]
        if self.norm_first:
            x = out["dense"](self.attend(self.layernorm_before(x), mask)) + x
            return self.feed_forward(self.layernorm_after(x)) + x
        x = out["LayerNorm"](out["dense"](self.attend(x, mask)) + x)
        return self.output["LayerNorm"](self.feed_forward(x) + x)


def layers_of(shape, fused):
    return nn.ModuleDict({"layer": nn.ModuleList(Layer(shape, fused) for _ in range(shape.layers))})


class TextEncoder(nn.Module):
    def __init__(self, shape, fused):
        super().__init__()
        rows = {"word_embeddings": shape.vocab, "position_embeddings": shape.positions, "token_type_embeddings": 2}
        self.embeddings = nn.ModuleDict({name: nn.Embedding(count, shape.hidden) for name, count in rows.items()})
        self.embeddings["LayerNorm"] = nn.LayerNorm(shape.hidden, eps=NORM_EPS)
        self.encoder = layers_of(shape, fused)
        self.register_buffer("places", torch.arange(shape.positions).unsqueeze(0), persistent=False)

    def forward(self, input_ids, attention_mask, token_type_ids):
        table = self.embeddings
        x = table["word_embeddings"](input_ids) + table["token_type_embeddings"](token_type_ids)
        x = table["LayerNorm"](x + table["position_embeddings"](self.places[:, :input_ids.size(1)]))
        mask = (1.0 - attention_mask[:, None, None, :].to(x.dtype)) * MASKED
        for layer in self.encoder["layer"]:
            x = layer(x, mask)
        return x


class PictureEncoder(nn.Module):
    def __init__(self, shape, fused):
        super().__init__()
        patches = (shape.picture // shape.patch) ** 2
        self.proj = nn.Conv2d(3, shape.hidden, shape.patch, shape.patch)
        self.cls = nn.Parameter(torch.zeros(1, 1, shape.hidden))
        self.pos = nn.Parameter(torch.zeros(1, patches + 1, shape.hidden))
        self.encoder = layers_of(shape, fused)
        self.layernorm = nn.LayerNorm(shape.hidden, eps=NORM_EPS)

    def forward(self, pixel_values):
        x = self.proj(pixel_values).flatten(2).transpose(1, 2)
        x = torch.cat((self.cls.expand(x.size(0), -1, -1), x), dim=1) + self.pos
        for layer in self.encoder["layer"]:
            x = layer(x, None)
        return self.layernorm(x)


def build(name, fused):
    """The encoder of SHAPES[name]; the same weights whatever `fused` says."""
    shape = SHAPES[name]
    model = (PictureEncoder if shape.picture else TextEncoder)(shape, fused)
    draw = torch.Generator().manual_seed(SEED)
    with torch.no_grad():
        for path, weight in model.named_parameters():
            noise = torch.randn(weight.shape, generator=draw)
            if "norm" in path.lower() and path.endswith("weight"):
                weight.copy_(1 + 0.1 * noise)
            elif weight.dim() == 1:
                weight.copy_(0.02 * noise)
            else:
                weight.copy_((0.05 if "embeddings" in path else 0.04) * noise)
    return model.eval()


def inputs_of(workload):
    """Name to numpy array, in the order of the encoder's arguments."""
    draw, shape = numpy.random.default_rng(99), SHAPES[WORKLOADS[workload].shape]
    lengths = numpy.array(WORKLOADS[workload].lengths)
    if shape.picture:
        return {"pixel_values": draw.standard_normal((len(lengths), 3, shape.picture, shape.picture)).astype("float32")}
    mask = (numpy.arange(lengths.max())[None] < lengths[:, None]).astype("int64")
    return {"input_ids": draw.integers(1000, 30000, mask.shape) * mask, "attention_mask": mask, "token_type_ids": numpy.zeros_like(mask)}


def answer(model, inputs):
    with torch.no_grad():
        return model(*(torch.from_numpy(array) for array in inputs.values()))


def write_weights(model, path):
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, path)


def write_workload(model, workload, path):
    inputs = inputs_of(workload)
    tensors = {name: torch.from_numpy(array) for name, array in inputs.items()}
    save_file({**tensors, "last_hidden_state": answer(model, inputs).contiguous()}, path)
