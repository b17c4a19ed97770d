"""What is compared: shapes of models, workloads, engines, and the arithmetic of each. Standard library alone.

W1, W2      BERT-base, one text of 18 and 33 tokens         W4     BERT-base, 32 texts of 8 to 64 tokens
W5, W5x8    ViT-B/32, 1 and 8 pictures of 224 x 224         W6, W6x32   MiniLM-L6, 1 and 32 texts of 33 tokens
An answer is the hidden states after the last layer. Texts of unequal length reach a peer in two layouts: `padded`, one
batch as long as its longest text, and `buckets`, sorted and cut in four. Fathom packs them, which it calls `packed`.
"""
from dataclasses import dataclass

# Drawn once, uniform over 8..64. They are 1,319 tokens; padded 2,048; in four sorted buckets 1,488.
MIXED_LENGTHS = (63, 63, 64, 29, 17, 60, 13, 22, 15, 26, 38, 14, 53, 21, 52, 26, 53, 62, 62, 23, 39, 33, 22, 42, 59, 57, 44, 57, 37, 46, 62, 45)
PRECISIONS = ("fp32", "bf16", "int8")
BYTES = {"fp32": 4, "bf16": 2, "int8": 1}
BUCKETS = 4


@dataclass(frozen=True)
class Shape:
    layers: int
    hidden: int
    heads: int
    ffn: int
    picture: int = 0  # side in pixels; 0: texts
    patch: int = 32
    vocab: int = 30522
    positions: int = 512

    def layer_weights(self):
        """Of the matrix products, which a run must read once."""
        stem = 3 * self.patch ** 2 * self.hidden if self.picture else 0
        return self.layers * (4 * self.hidden ** 2 + 2 * self.hidden * self.ffn) + stem

    def macs(self, tokens):
        """Useful multiply-adds of one input of so many tokens."""
        per_layer = tokens * (4 * self.hidden ** 2 + 2 * self.hidden * self.ffn) + 2 * tokens ** 2 * self.hidden
        stem = (tokens - 1) * 3 * self.patch ** 2 * self.hidden if self.picture else 0
        return self.layers * per_layer + stem


SHAPES = {"bert": Shape(12, 768, 12, 3072), "mini": Shape(6, 384, 12, 1536), "vit": Shape(12, 768, 12, 3072, picture=224)}


@dataclass(frozen=True)
class Workload:
    shape: str
    lengths: tuple  # tokens of each input
    what: str

    def layouts(self):
        return ("padded", "buckets") if len(set(self.lengths)) > 1 else ("padded",)

    def macs(self):
        return sum(SHAPES[self.shape].macs(tokens) for tokens in self.lengths)

    def weight_bytes(self, precision):
        return SHAPES[self.shape].layer_weights() * BYTES[precision]


WORKLOADS = {
    "W1": Workload("bert", (18,), "BERT-base, 18 tokens"),
    "W2": Workload("bert", (33,), "BERT-base, 33 tokens"),
    "W4": Workload("bert", MIXED_LENGTHS, "BERT-base, 32 texts of 8 to 64 tokens"),
    "W5": Workload("vit", (50,), "ViT-B/32, one picture"),
    "W5x8": Workload("vit", (50,) * 8, "ViT-B/32, 8 pictures"),
    "W6": Workload("mini", (33,), "MiniLM-L6, 33 tokens"),
    "W6x32": Workload("mini", (33,) * 32, "MiniLM-L6, 32 texts of 33 tokens"),
}


@dataclass(frozen=True)
class Peer:
    name: str
    precisions: tuple
    shapes: tuple


PEERS = {
    "ort": Peer("ONNX Runtime", ("fp32", "int8"), ("bert", "mini", "vit")),
    "openvino": Peer("OpenVINO", ("fp32", "bf16", "int8"), ("bert", "mini", "vit")),
    "ct2": Peer("CTranslate2", ("fp32", "bf16", "int8"), ("bert", "mini")),  # it knows no picture models
}
OURS = "fathom"


def engine_name(engine):
    return "Fathom" if engine == OURS else PEERS[engine].name
