"""Writes unicode_table.cpp: python3 make_unicode_table.py > unicode_table.cpp

Needs the PyPI wheel `tokenizers` (0.23.3). Every code point is put through its normalizers, pre-tokenizers and added tokens
and the answers are written down as ranges, so that our tables hold what that library does (BERT's categories of Unicode 8,
decompositions, lower case and the classes of regular expressions of later versions), not what one version of Unicode says.
"""

import unicodedata

from tokenizers import AddedToken, Tokenizer
from tokenizers.models import WordLevel
from tokenizers.normalizers import NFD, BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer, ByteLevel


def normalizer(**on):
    flags = dict(clean_text=False, handle_chinese_chars=False, strip_accents=False, lowercase=False)
    return BertNormalizer(**{**flags, **on}).normalize_str


clean, strip, lower, spaced = (normalizer(clean_text=True), normalizer(strip_accents=True), normalizer(lowercase=True),
                               normalizer(handle_chinese_chars=True))
split = BertPreTokenizer().pre_tokenize_str
POINTS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]


def ranges(points):
    out = []
    for c in points:
        if out and c == out[-1][1] + 1:
            out[-1][1] = c
        else:
            out.append([c, c])
    return out


def emit(kind, name, rows):
    print(f"const {kind} {name}[] = {{")
    line = "   "
    for row in rows:
        text = " {" + ", ".join(f"0x{v:X}" if v >= 0 else f"-0x{-v:X}" for v in row) + "},"
        if len(line) + len(text) > 118:
            print(line)
            line = "   "
        line += text
    print(line + "\n};")
    print(f"const std::size_t {name}Size = sizeof({name}) / sizeof({name}[0]);\n")


def lower_runs():  # first, last, stride, shift
    runs = []
    for c in POINTS:
        to = lower(chr(c))
        if to == chr(c) or len(to) != 1:
            continue
        shift = ord(to) - c
        last = runs[-1] if runs else None
        if last and last[3] == shift and (last[0] == last[1] and c - last[1] <= 2 or c - last[1] == last[2]):
            last[2] = c - last[1]
            last[1] = c
        else:
            runs.append([c, c, 1, shift])
    return runs


def combining():  # first, last, canonical combining class, where it is not 0
    nfd = NFD().normalize_str
    stays = lambda text: nfd(text) == text
    orders = [c for c in POINTS if stays(chr(c)) and not (stays(chr(c) + "\u0334") and stays("\u0345" + chr(c)))]
    example = {}  # one code point of each class
    for c in orders:
        example.setdefault(unicodedata.combining(chr(c)), chr(c))
    rows = []
    for c in orders:
        classes = [k for k, mark in example.items() if stays(chr(c) + mark) and stays(mark + chr(c))]
        assert len(classes) == 1 and classes[0] > 0, (hex(c), classes)
        if rows and rows[-1][1] == c - 1 and rows[-1][2] == classes[0]:
            rows[-1][1] = c
        else:
            rows.append([c, c, classes[0]])
    return rows


def word_characters():  # \w beside an added token that stands only as a word of its own
    tokenizer = Tokenizer(WordLevel({"?": 0}, unk_token="?"))
    tokenizer.add_tokens([AddedToken("+", single_word=True, normalized=False)])
    return [c for c in POINTS if c != ord("+") and tokenizer.encode(chr(c) + "+").tokens[-1] != "+"]


marks = [c for c in POINTS if strip(chr(c)) == ""]
parts = [(c, strip(chr(c))) for c in POINTS if strip(chr(c)) not in ("", chr(c)) and not 0xAC00 <= c <= 0xD7A3]
print("// Made by make_unicode_table.py; do not edit.")
print('#include "data/unicode_table.h"\n\nnamespace fathom::data {\n')
emit("CodeRange", "kDropped", ranges([c for c in POINTS if clean("a" + chr(c) + "b") == "ab"]))
emit("CodeRange", "kMarks", ranges(marks))
emit("CodeRange", "kPunctuation", ranges([c for c in POINTS if [t for t, _ in split("a" + chr(c) + "b")] == ["a", chr(c), "b"]]))
emit("CodeRange", "kSpaces", ranges([c for c in POINTS if [t for t, _ in split("a" + chr(c) + "b")] == ["a", "b"]]))
emit("CodeRange", "kIdeographs", ranges([c for c in POINTS if spaced("a" + chr(c) + "b") != "a" + chr(c) + "b"]))
emit("LowerRun", "kLower", lower_runs())
emit("CodePair", "kBases", [(c, ord(to)) for c, to in parts if len(to) == 1])
emit("CodeParts", "kParts", [(c, *map(ord, to), *[0] * (3 - len(to))) for c, to in parts if len(to) > 1])
emit("ClassRange", "kCombining", combining())
emit("CodeRange", "kWord", ranges(word_characters()))
bytes_of = ByteLevel(add_prefix_space=False).pre_tokenize_str
together = lambda left, c: len(bytes_of(left + chr(c) + left)) == 1
letters, numbers = [c for c in POINTS if together("a", c)], [c for c in POINTS if together("1", c)]
other = set(letters + numbers + [c for c in POINTS if together("!", c)])
emit("CodeRange", "kLetters", ranges(letters))
emit("CodeRange", "kNumbers", ranges(numbers))
emit("CodeRange", "kPatternSpaces", ranges([c for c in POINTS if c not in other]))
print("}  // namespace fathom::data")
