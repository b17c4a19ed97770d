#!/usr/bin/env python3
"""Makes tests/parity/checkpoints: one tiny, randomly initialised classifier of every family that `fathom import` reads,
saved by the library that owns the family, with inputs and float32 logits of that library in reference.json.

    pip install -r tests/parity/checkpoint_requirements.txt && python tests/parity/make_checkpoints.py [FOLDER]

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

OUT = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent / "checkpoints"
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


def logits_of_texts(model, rows):
    with torch.no_grad():
        return [model(input_ids=torch.tensor([row])).logits[0].tolist() for row in rows]


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
    if "ids" in reference:
        (folder / "tokenizer.json").write_text(tokenizer_json())
    print(folder.name, sum(f.stat().st_size for f in folder.iterdir()), "bytes")


def text_families():
    bert = widen(BertForSequenceClassification(BertConfig(**TEXT)), 1)
    rows = texts(TOKENS, 2)
    write("bert", bert, {"ids": rows, "logits": logits_of_texts(bert, rows)})
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


if __name__ == "__main__":
    torch.manual_seed(0)
    text_families()
    vision_families()
    timm_family()
