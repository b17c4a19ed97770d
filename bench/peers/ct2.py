"""CTranslate2, for texts: its own file format and quantization; it leaves padding out of the computation itself."""
import ctranslate2

VERSION = ctranslate2.__version__
TYPES = {"fp32": ("float32", None), "bf16": ("bfloat16", "bfloat16"), "int8": ("int8", "int8")}  # to compute in, to store in


def folder_of(folder, shape, precision):
    return folder / f"{shape}.ct2-{precision}"


def files(folder, shape, precision):
    return sorted(folder_of(folder, shape, precision).glob("*"))


def set_norm(spec, norm):
    spec.gamma, spec.beta = norm.weight, norm.bias


def set_linear(spec, *maps):
    """Several maps of the same input become one, their outputs side by side."""
    import torch

    spec.weight, spec.bias = torch.cat([m.weight for m in maps]), torch.cat([m.bias for m in maps])


def spec_of(model, shape):
    from ctranslate2.specs import common_spec, transformer_spec

    encoder = transformer_spec.TransformerEncoderSpec(shape.layers, shape.heads, pre_norm=False, activation=common_spec.Activation.GELU,
                                                      layernorm_embedding=True, num_source_embeddings=2,
                                                      embeddings_merge=common_spec.EmbeddingsMerge.ADD)
    encoder.scale_embeddings = False
    tables = model.embeddings
    encoder.embeddings[0].weight = tables["word_embeddings"].weight
    encoder.embeddings[1].weight = tables["token_type_embeddings"].weight
    encoder.position_encodings.encodings = tables["position_embeddings"].weight
    set_norm(encoder.layernorm_embedding, tables["LayerNorm"])
    for spec, layer in zip(encoder.layer, model.encoder["layer"]):
        maps, out = layer.attention["self"], layer.attention["output"]
        set_linear(spec.self_attention.linear[0], maps["query"], maps["key"], maps["value"])
        set_linear(spec.self_attention.linear[1], out["dense"])
        set_norm(spec.self_attention.layer_norm, out["LayerNorm"])
        set_linear(spec.ffn.linear_0, layer.intermediate["dense"])
        set_linear(spec.ffn.linear_1, layer.output["dense"])
        set_norm(spec.ffn.layer_norm, layer.output["LayerNorm"])
    whole = transformer_spec.TransformerEncoderModelSpec(encoder, pooling_layer=False)
    whole.config.unk_token, whole.config.layer_norm_epsilon = "[UNK]", 1e-12
    whole.register_vocabulary(["[UNK]" if i == 100 else f"t{i}" for i in range(shape.vocab)])
    return whole


def prepare(folder, name, shape, arguments):
    from peers.models import build

    for precision, (_, stored) in TYPES.items():
        spec, target = spec_of(build(name, fused=False), shape), folder_of(folder, name, precision)
        target.mkdir(exist_ok=True)
        spec.validate()
        spec.optimize(quantization=stored)
        spec.save(str(target))


def load(folder, shape, precision, threads, fixed):
    import numpy

    encoder = ctranslate2.Encoder(str(folder_of(folder, shape, precision)), device="cpu", compute_type=TYPES[precision][0],
                                  intra_threads=threads, inter_threads=1)

    def run(inputs):
        ids = ctranslate2.StorageView.from_array(inputs["input_ids"].astype("int32"))
        lengths = ctranslate2.StorageView.from_array(inputs["attention_mask"].sum(1).astype("int32"))
        return numpy.array(encoder.forward_batch(ids, lengths).last_hidden_state)

    return run, {"float32": "fp32", "bfloat16": "bf16"}.get(encoder.compute_type, encoder.compute_type)
