#!/usr/bin/env python3
"""Makes tests/parity/checkpoints: one tiny, randomly initialised classifier of every family that `fathom import` reads,
saved by the library that owns the family, with inputs and float32 logits of that library in reference.json.

    pip install -r tests/parity/checkpoint_requirements.txt && python tests/parity/make_checkpoints.py [FOLDER]
    python tests/parity/make_checkpoints.py --full FOLDER [ENCODER ...]    # not committed: the families' real sizes, and real encoders
                                                                           # (folders, e.g. MiniLM's) under a random classifier
    for each in FOLDER/*; do fathom import --check $each; done             # compares with reference.json, refuses above 1e-4

Weights are drawn wider than a fresh model's so that a wrong head, norm, position or token shows in the logits.
"""
import json
import shutil
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import (BertConfig, BertForSequenceClassification, DeiTConfig, DeiTForImageClassification,
                          DeiTForImageClassificationWithTeacher, DistilBertConfig, DistilBertForSequenceClassification,
                          RobertaConfig, RobertaForSequenceClassification, ViTConfig, ViTForImageClassification)

FULL = sys.argv[1:2] == ["--full"]
if FULL and len(sys.argv) < 3:
    sys.exit(__doc__)
OUT = Path(sys.argv[2 if FULL else 1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent / "checkpoints"
VOCAB, TOKENS, CLASSES, SIDE, PATCH = 48, 24, 3, 16, 8
SIZE = dict(hidden_size=32, num_hidden_layers=3, num_attention_heads=2, intermediate_size=48, num_labels=CLASSES,
            id2label={i: n for i, n in enumerate(["bad", "so-so", "good"])}, label2id={"bad": 0, "so-so": 1, "good": 2})
TEXT = dict(vocab_size=VOCAB, max_position_embeddings=TOKENS, **SIZE)
VISION = dict(image_size=SIDE, patch_size=PATCH, **SIZE)


def widen(model, seed):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            norm = parameter.dim() == 1 and name.endswith("weight")
            parameter.copy_(1 + 0.3 * noise if norm else 0.3 * noise if parameter.dim() > 1 else 0.2 * noise)
    return model.eval()


def tokenizer_json():
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + [chr(ord("a") + i) for i in range(26)]
    pieces += ["##" + chr(ord("a") + i) for i in range(VOCAB - len(pieces))]
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    tokenizer = Tokenizer(models.WordPiece({p: i for i, p in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1",
                                                             special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    tokenizer.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    return tokenizer.to_str(pretty=False)


def texts(longest, seed):
    generator = torch.Generator().manual_seed(seed)
    rows = [torch.randint(4, VOCAB, (n,), generator=generator).tolist() for n in (2, 5, 9, longest)]
    return [[2] + row[:-2] + [3] if len(row) > 2 else row for row in rows]


def pictures(seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (3, SIDE, SIDE, 3), generator=generator, dtype=torch.uint8)


def logits_of_texts(model, rows, types=None):
    more = [{"token_type_ids": torch.tensor([row])} for row in types] if types else [{}] * len(rows)
    with torch.no_grad():
        return [model(input_ids=torch.tensor([row]), **how).logits[0].tolist() for row, how in zip(rows, more)]


def logits_of_pictures(call, pixels, mean, std):
    x = pixels.permute(0, 3, 1, 2).float() / 255
    x = (x - torch.tensor(mean).view(1, 3, 1, 1)) / torch.tensor(std).view(1, 3, 1, 1)
    with torch.no_grad():
        return call(x).tolist()


def write(name, model, reference, **save):
    folder = OUT / name
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder, **save)
    finish(folder, reference)


def finish(folder, reference):
    (folder / "reference.json").write_text(json.dumps(reference) + "\n")
    if "ids" in reference and not (folder / "tokenizer.json").exists():
        (folder / "tokenizer.json").write_text(tokenizer_json())
    print(folder.name, sum(f.stat().st_size for f in folder.iterdir()), "bytes")


def text_families():
    bert = widen(BertForSequenceClassification(BertConfig(**TEXT)), 1)
    rows = texts(TOKENS, 2)
    both = rows + rows[1:]  # once as single texts, once as pairs whose second text begins after a third
    types = [[0] * len(row) for row in rows] + [[int(3 * t >= len(row)) for t in range(len(row))] for row in rows[1:]]
    write("bert", bert, {"ids": both, "types": types, "logits": logits_of_texts(bert, both, types)})
    write("bert_sharded", bert, {"ids": rows, "logits": logits_of_texts(bert, rows)}, max_shard_size="60KB")
    half = widen(BertForSequenceClassification(BertConfig(**TEXT)), 1).to(torch.bfloat16)
    half_as_float = BertForSequenceClassification(half.config).float()
    half_as_float.load_state_dict({k: v.float() for k, v in half.state_dict().items()})
    write("bert_bf16", half, {"ids": rows, "logits": logits_of_texts(half_as_float.eval(), rows)})
    distil = widen(DistilBertForSequenceClassification(DistilBertConfig(
        vocab_size=VOCAB, max_position_embeddings=TOKENS, dim=32, n_layers=3, n_heads=2, hidden_dim=48, num_labels=CLASSES)), 3)
    write("distilbert", distil, {"ids": rows, "logits": logits_of_texts(distil, rows)})
    roberta = widen(RobertaForSequenceClassification(RobertaConfig(
        **{**TEXT, "max_position_embeddings": TOKENS + 2, "type_vocab_size": 1, "layer_norm_eps": 1e-5})), 4)
    write("roberta", roberta, {"ids": rows, "logits": logits_of_texts(roberta, rows)})
    (OUT / "roberta" / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}\n')  # WordPiece too


def vision_families():
    pixels, mean, std = pictures(5), [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    preprocessor = {"do_resize": True, "size": {"height": SIDE, "width": SIDE}, "resample": 2, "do_rescale": True,
                    "rescale_factor": 1 / 255, "do_normalize": True, "image_mean": mean, "image_std": std}
    listed = pixels.reshape(3, -1).tolist()
    made = (("vit", ViTForImageClassification(ViTConfig(**VISION))), ("deit", DeiTForImageClassification(DeiTConfig(**VISION))),
            ("deit_teacher", DeiTForImageClassificationWithTeacher(DeiTConfig(**VISION))))
    for seed, (name, model) in enumerate(made, 6):
        widen(model, seed)
        write(name, model, {"pixels": listed, "logits": logits_of_pictures(lambda x: model(x).logits, pixels, mean, std)})
        (OUT / name / "preprocessor_config.json").write_text(json.dumps(preprocessor, indent=1) + "\n")


def timm_family():
    from timm.models.vision_transformer import VisionTransformer
    from timm.models.deit import VisionTransformerDistilled
    pixels, mean, std = pictures(10), [0.5, 0.4, 0.3], [0.2, 0.3, 0.4]
    shape = dict(img_size=SIDE, patch_size=PATCH, embed_dim=32, depth=3, num_heads=2, mlp_ratio=1.5, num_classes=CLASSES)
    for name, architecture, make in (("timm_vit", "vit_tiny_patch8_16", VisionTransformer),
                                     ("timm_deit_distilled", "deit_tiny_distilled_patch8_16", VisionTransformerDistilled)):
        model = widen(make(**shape), 11)
        folder = OUT / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        save_file(model.state_dict(), folder / "model.safetensors")
        config = {"architecture": architecture, "num_classes": CLASSES, "num_features": 32, "global_pool": "token",
                  "model_args": {"num_heads": 2},
                  "pretrained_cfg": {"input_size": [3, SIDE, SIDE], "interpolation": "bicubic", "crop_pct": 1.0, "mean": mean, "std": std}}
        (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
        finish(folder, {"pixels": pixels.reshape(3, -1).tolist(), "logits": logits_of_pictures(model, pixels, mean, std)})


def full_sizes(encoders):
    """As the library initialises them: 12 layers of widened random weights would saturate, and compare nothing."""
    labels = dict(num_labels=CLASSES)
    generator = torch.Generator().manual_seed(12)
    rows = [[2] + torch.randint(5, VOCAB, (n - 2,), generator=generator).tolist() + [3] for n in (2, 7, 33, 128)]
    for name, model in (("bert_base", BertForSequenceClassification(BertConfig(**labels))),
                        ("distilbert_base", DistilBertForSequenceClassification(DistilBertConfig(**labels))),
                        ("roberta_base", RobertaForSequenceClassification(RobertaConfig(max_position_embeddings=514, type_vocab_size=1, **labels)))):
        types = [[int(2 * t >= len(row)) for t in range(len(row))] for row in rows] if name == "bert_base" else None
        write(name, model.eval(), {"ids": rows, "logits": logits_of_texts(model, rows, types)} | ({"types": types} if types else {}))
    pixels, half = torch.randint(0, 256, (2, 224, 224, 3), generator=generator, dtype=torch.uint8), [0.5, 0.5, 0.5]
    preprocessor = {"do_resize": True, "size": {"height": 224, "width": 224}, "resample": 2, "do_rescale": True,
                    "rescale_factor": 1 / 255, "do_normalize": True, "image_mean": half, "image_std": half}
    for name, model in (("vit_base_32", ViTForImageClassification(ViTConfig(patch_size=32, **labels))),
                        ("vit_base_16", ViTForImageClassification(ViTConfig(**labels))),
                        ("deit_base_teacher", DeiTForImageClassificationWithTeacher(DeiTConfig(**labels)))):
        model.eval()
        write(name, model, {"pixels": pixels.reshape(2, -1).tolist(), "logits": logits_of_pictures(lambda x: model(x).logits, pixels, half, half)})
        (OUT / name / "preprocessor_config.json").write_text(json.dumps(preprocessor, indent=1) + "\n")
    for encoder in map(Path, encoders):
        from tokenizers import Tokenizer
        torch.manual_seed(1)
        model = BertForSequenceClassification.from_pretrained(encoder, **labels).eval()
        tokenizer = Tokenizer.from_file(str(encoder / "tokenizer.json"))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        said = [tokenizer.encode("a fine film"), tokenizer.encode("Fathom gives every input only the depth it needs. " * 5),
                tokenizer.encode("A man sleeps.", "Nobody is awake, it seems, but the dog.")]
        rows, types = [s.ids for s in said], [s.type_ids for s in said]
        folder = OUT / encoder.resolve().name
        folder.mkdir(parents=True, exist_ok=True)
        model.save_pretrained(folder)
        shutil.copy(encoder / "tokenizer.json", folder)
        finish(folder, {"ids": rows, "types": types, "logits": logits_of_texts(model, rows, types)})


if __name__ == "__main__":
    torch.manual_seed(0)
    if FULL:
        full_sizes(sys.argv[3:])
        sys.exit()
    text_families()
    vision_families()
    timm_family()
