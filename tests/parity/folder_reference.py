#!/usr/bin/env python3
"""Makes tests/parity/folders.json: tokenizer folders whose files contradict one another, with the ids and token types that
transformers' AutoTokenizer gives for some texts and pairs (folder_requirements.txt has the versions; no torch is needed).

    pip install -r tests/parity/folder_requirements.txt && python tests/parity/folder_reference.py
"""
import copy
import json
import os
import tempfile
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors  # noqa: E402
from transformers import AutoTokenizer  # noqa: E402

HERE = Path(__file__).resolve().parent
MOST = 24  # ids of one input, unless the folder says fewer
TEXTS = ["good film", "Good Film!", "Café 北京 a北京", "the <user> ZORBLAX zorblax", "good [MASK] bad <mask> film", "",
         "good <pad> bad [PAD] film", " good  film ", "bad " * 30 + "good", "unknown\u00e9words €", "[CLS] [SEP] <s> </s>"]
PAIRS = [["good film", "bad film"], ["the good film", "the"], ["good " * 20, "bad bad Film"], ["bad", "film " * 25 + "good"]]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
PIECES = SPECIAL + ["good", "bad", "film", "the", "Good", "Film", "cafe", "café", "Café", "北", "京", "##北", "##京", "!", "<", ">",
                    "a", "u", "##s", "##e", "##r", "un", "##k", "##n", "##o", "##w", "z", "##b", "##l", "##a", "##x", "Z", "##O", "##R"]


def flags(content, **more):
    return {"content": content, "lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True, **more}


def bert_json(lower=True, post=True, vocab=None):
    vocab = vocab or {p: i for i, p in enumerate(PIECES)}
    t = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]"))
    t.normalizer = normalizers.BertNormalizer(lowercase=lower)
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    t.decoder = decoders.WordPiece()
    if post:
        t.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1",
                                                         special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    t.add_special_tokens(SPECIAL)
    return json.loads(t.to_str())


def roberta_vocab():
    names = ["<s>", "<pad>", "</s>", "<unk>"] + sorted(pre_tokenizers.ByteLevel.alphabet()) + ["go", "od", "good", "Ġg", "Ġgo", "Ġgood", "ba", "bad", "Ġb",
                                                                                              "fi", "lm", "film", "<mask>"]
    return {n: i for i, n in enumerate(names)}, ["g o", "o d", "go od", "Ġ g", "Ġg o", "Ġgo od", "b a", "ba d", "Ġ b", "f i", "l m", "fi lm"]


def roberta_json(prefix=False, post="roberta"):
    vocab, merges = roberta_vocab()
    t = Tokenizer(models.BPE(vocab, [tuple(m.split()) for m in merges]))
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    t.decoder = decoders.ByteLevel()
    if post == "roberta":
        t.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    elif post == "bytes":
        t.post_processor = processors.ByteLevel()
    t.add_special_tokens(["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    return json.loads(t.to_str())


def folders():
    bert, roberta = {"model_type": "bert"}, {"model_type": "roberta"}
    own = {"tokenizer_class": "BertTokenizer"}
    out = {}

    def b(name, config=None, json_file=None, model=bert, **files):
        out[name] = {"config.json": model, **({} if config is None else {"tokenizer_config.json": config}),
                     **({"tokenizer.json": json_file or bert_json()} if json_file is not False else {}), **files}

    def r(name, config=None, json_file=None, **files):
        b(name, config, roberta_json() if json_file is None else json_file, roberta, **files)

    b("bert no config")
    b("bert no config, cased file", None, bert_json(lower=False))
    b("bert lower case off", {**own, "do_lower_case": False})
    b("bert lower case on over cased", {**own, "do_lower_case": True}, bert_json(lower=False))
    b("bert accents kept", {**own, "strip_accents": False})
    b("bert accents stripped, cased", {**own, "do_lower_case": False, "strip_accents": True})
    b("bert ideographs together", {**own, "tokenize_chinese_chars": False})
    b("bert cut left", {**own, "truncation_side": "left", "model_max_length": 12})
    b("bert short", {**own, "model_max_length": 9})
    b("bert no length", {**own, "model_max_length": 1000000000000000019884624838656})
    b("bert without types", {**own, "model_input_names": ["input_ids", "attention_mask"]})
    b("bert as distilbert", {"tokenizer_class": "DistilBertTokenizerFast"})
    b("bert as electra", {"tokenizer_class": "ElectraTokenizer", "do_lower_case": False})
    b("bert without post-processor", own, bert_json(post=False))
    b("bert other ends", {**own, "cls_token": "good", "sep_token": "bad"})
    b("bert new special tokens", {**own, "additional_special_tokens": ["<user>", "zorblax"]})
    b("bert named tokens with flags", {**own, "mask_token": {"__type": "AddedToken", **flags("[MASK]", lstrip=True)}})
    b("bert decoder replaces", {**own, "added_tokens_decoder": {"2": flags("[CLS]"), "39": flags("zorblax", special=False, normalized=True),
                                                               "50": flags("<user>", rstrip=True)}})
    written = bert_json()
    written["added_tokens"].append({"id": len(PIECES), **flags("zorblax", special=False, normalized=True)})
    b("bert own added tokens", own, written)
    turned = copy.deepcopy(written)
    turned["truncation"] = {"direction": "Left", "max_length": 8, "strategy": "LongestFirst", "stride": 0}
    b("bert direction of tokenizer.json", {**own, "model_max_length": 10}, turned)
    other = bert_json()
    other["normalizer"]["clean_text"] = False
    other["model"]["max_input_chars_per_word"] = 3
    b("bert other parts passed over", own, other)
    b("bert gap", own, bert_json(vocab={p: i if i < 9 else i + 5 for i, p in enumerate(PIECES)}))
    b("fast class as written", {"tokenizer_class": "PreTrainedTokenizerFast", "do_lower_case": False})
    b("fast class with types", {"tokenizer_class": "PreTrainedTokenizerFast", "model_input_names": ["input_ids", "token_type_ids"]})
    b("fast class without post-processor", {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "[PAD]"}, bert_json(post=False))
    b("fast class, new tokens", {"tokenizer_class": "PreTrainedTokenizerFast", "additional_special_tokens": ["<user>"],
                                 "added_tokens_decoder": {"4": flags("[MASK]", lstrip=True)}})
    plain = "\n".join(PIECES) + "\n"
    b("vocab.txt", own, False, **{"vocab.txt": plain})
    b("vocab.txt alone", None, False, **{"vocab.txt": plain})
    b("vocab.txt twice and empty", own, False, **{"vocab.txt": plain + "\nfilm\ngood \nthe\r\n"})
    b("vocab.txt without mask", own, False, **{"vocab.txt": plain.replace("[MASK]\n", "")})
    b("vocab.txt, added_tokens.json", own, False, **{"vocab.txt": plain, "added_tokens.json": {"<user>": 39, "zorblax": 40},
                                                     "special_tokens_map.json": {"additional_special_tokens": ["<user>"]}})
    b("vocab.txt, special_tokens_map.json", own, False, **{"vocab.txt": plain, "special_tokens_map.json": {
        "mask_token": {"content": "[MASK]", "lstrip": True, "normalized": False, "rstrip": False, "single_word": False}}})
    r("roberta no config")
    r("roberta prefix space", {"tokenizer_class": "RobertaTokenizer", "add_prefix_space": True})
    r("roberta prefix space off", {"tokenizer_class": "RobertaTokenizerFast", "add_prefix_space": False}, roberta_json(prefix=True))
    r("roberta byte-level post", {"tokenizer_class": "RobertaTokenizer"}, roberta_json(post="bytes"))
    r("roberta cut left", {"tokenizer_class": "RobertaTokenizer", "truncation_side": "left", "model_max_length": 11})
    r("roberta with types", {"tokenizer_class": "RobertaTokenizer", "model_input_names": ["input_ids", "token_type_ids"]})
    r("roberta mask with flags", {"mask_token": {"__type": "AddedToken", **flags("<mask>", lstrip=True)}, "added_tokens_decoder": {}})
    r("roberta fast class", {"tokenizer_class": "PreTrainedTokenizerFast", "add_prefix_space": True}, roberta_json(prefix=False))
    vocab, merges = roberta_vocab()
    r("roberta plain files", {"tokenizer_class": "RobertaTokenizer"}, False,
      **{"vocab.json": vocab, "merges.txt": "#version: 0.2\n" + "\n".join(merges) + "\n"})
    r("roberta plain files, merge twice", None, False, **{"vocab.json": vocab, "merges.txt": "\n".join(["l m", *merges])})
    r("roberta as bart", {"tokenizer_class": "BartTokenizer"})
    return out


def main():
    cases, contents = [], []  # a file's content stands once
    for name, files in folders().items():
        with tempfile.TemporaryDirectory() as folder:
            texts = {}
            for file, content in files.items():
                texts[file] = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
                (Path(folder) / file).write_text(texts[file], "utf-8")
            tokenizer = AutoTokenizer.from_pretrained(folder)
            most = min(MOST, tokenizer.model_max_length)

            def encoded(*text):
                got = tokenizer(*text, truncation=True, max_length=most)
                return [got["input_ids"], got.get("token_type_ids", [0] * len(got["input_ids"]))]
            contents += [t for t in texts.values() if t not in contents]
            cases.append({"name": name, "most": most, "files": {f: contents.index(t) for f, t in texts.items()}, "texts": [encoded(t)[0] for t in TEXTS],
                          "pairs": [encoded(*p) for p in PAIRS]})
    (HERE / "folders.json").write_text(json.dumps({"texts": TEXTS, "pairs": PAIRS, "contents": contents, "cases": cases}, ensure_ascii=False) + "\n", "utf-8")
    print(len(cases), "folders,", (HERE / "folders.json").stat().st_size, "bytes")


if __name__ == "__main__":
    main()
