"""Texts that tokenizers stumble over, the same for the same seed. As bytes, since some are not UTF-8."""

import random
import unicodedata

SPACES = [9, 10, 11, 12, 13, 28, 29, 30, 31, 32, 133, 160, 5760, 6158, *range(8192, 8208), 8232, 8233, 8239, 8287, 8288, 12288, 65279]
NAMES = ["[CLS]", "[SEP]", "[MASK]", "[PAD]", "[UNK]", "<s>", "</s>", "<mask>", "<pad>", "<unk>", "[cls]", "[CLS", "CLS]", "[[MASK]]",
         "<mask", "<<mask>>", "</s></s>", "<S>", "[SEP][SEP]", "new word", "New Word", "[X]", "naïve", "NAÏVE", "##ing", "Ġthe", "_pre_"]
ODD = ["İstanbul", "ΑΣΟΣ ὈΔΥΣΣΕΎΣ", "ǅ ǆ Ǆ", "ß ẞ", "ﬁ ﬂ", "Å Å Å", "한국어 한국", "北京2008年", "日本語テスト カタカナ", "がぎぐ ガギグ", "हिन्दी भाषा",
       "ไทยภาษา", "עִבְרִית", "العَرَبِيَّة", "Việt Nam", "Ⅷ ² ½ ① ٣ ५", "e\u0301\u0323", "a\u0323\u0301", "\u1dfa\u1df6x", "👩‍👩‍👧‍👦", "🏳️‍🌈", "🇩🇪🇫🇷",
       "👍🏽", "❤️", "1️⃣", "…—–“”‘’", "I'm they'LL we've it's 'tis rock'n'roll 's 't 're", "don''t ''s", "http://a.b/c?d=e&f#g", "a_b-c+d=e",
       "\u200bzero\u200cwidth\u200djoin", "\u202eright to left\u202c", "\ufeffmark", "\ufffd", "\x00\x01\x02", "\x7f\x80\x9f", "\U000e0041", "\U0010fffd",
       "𝔘𝔫𝔦𝔠𝔬𝔡𝔢", "𓀀𓂀", "\u0345\u0301a", "\u302e\u302f", "\U0001d15e\U0001d165\U0001d16d", "ज़ ড় ਲ਼", "각 각", "\u1100\u1161\u11a8", "¼ ³"]


def is_mark(c):
    return unicodedata.category(chr(c)).startswith("M")


MARKS = [c for c in range(0x300, 0x1F000) if is_mark(c)] + list(range(0x1DF6, 0x1DFF)) + list(range(0x8D0, 0x8E2))


def code_point(rnd):
    while True:
        c = rnd.choice([lambda: rnd.randrange(0x250), lambda: rnd.randrange(0x3000), lambda: rnd.randrange(0x10000), lambda: rnd.randrange(0x110000),
                        lambda: rnd.randrange(0x4E00, 0xA000), lambda: rnd.randrange(0xAC00, 0xD7A4), lambda: rnd.randrange(0x1F000, 0x20000),
                        lambda: rnd.randrange(0x590, 0x900), lambda: rnd.randrange(0x10000, 0x1F000), lambda: rnd.randrange(0x1E00, 0x2200)])()
        if not 0xD800 <= c < 0xE000:
            return chr(c)


def piece(rnd, words):
    kind = rnd.randrange(16)
    if kind < 4:
        return rnd.choice(words)
    if kind == 4:
        return "".join(code_point(rnd) for _ in range(rnd.randrange(1, 12)))
    if kind == 5:
        return rnd.choice("aeIOné가क") + "".join(chr(rnd.choice(MARKS)) for _ in range(rnd.randrange(1, 9)))
    if kind == 6:
        return "".join(chr(rnd.choice(SPACES)) for _ in range(rnd.randrange(1, 5)))
    if kind == 7:
        return rnd.choice(NAMES)
    if kind == 8:
        return rnd.choice(ODD)
    if kind == 9:
        return "".join(rnd.choice("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~") for _ in range(rnd.randrange(1, 6)))
    if kind == 10:
        return str(rnd.randrange(10 ** rnd.randrange(1, 12))) + rnd.choice(["", "th", "%", ",000", ".5"])
    if kind == 11:
        return rnd.choice(words).upper() + rnd.choice(["'s", "'S", "n't", "'re", "", "-"]) + rnd.choice(words)
    if kind == 12:
        return "".join(chr(rnd.randrange(0x20)) for _ in range(rnd.randrange(1, 4)))
    if kind == 13:
        return "".join(rnd.choice(words) for _ in range(rnd.randrange(2, 6)))
    if kind == 14:
        return rnd.choice(words)[: rnd.randrange(1, 4)] + code_point(rnd) + rnd.choice(words)
    return chr(rnd.choice(MARKS)) + rnd.choice(words) + chr(rnd.choice(MARKS))


def long_text(rnd, words):
    one = rnd.choice([lambda: "a", lambda: rnd.choice(words), lambda: code_point(rnd), lambda: "北", lambda: "é", lambda: "👩‍👩‍👧", lambda: " ", lambda: "e\u0301"])()
    text = one * rnd.choice([49, 50, 99, 100, 101, 500])
    return text[: rnd.choice([99, 100, 101, 400, 3000])] + rnd.choice(["", " ", "x"]) + rnd.choice(words)


def hostile_texts(count, words, seed):
    """count texts as bytes; words: a list of usual words to mix in."""
    rnd = random.Random(seed)
    texts = [text.encode() for text in ["", " ", "\n", "a", *NAMES, *ODD]][:count]
    while len(texts) < count:
        kind = rnd.randrange(40)
        if kind == 0:
            text = bytes(rnd.randrange(256) for _ in range(rnd.randrange(1, 30)))
        elif kind == 1:
            text = long_text(rnd, words).encode()
        else:
            glue = rnd.choice(["", " ", " ", " ", "  ", "\n"])
            text = glue.join(piece(rnd, words) for _ in range(rnd.randrange(1, 12))).encode()
            if kind == 2:  # cut inside a character, perhaps
                cut = rnd.randrange(len(text) + 1)
                text = text[:cut] + text[cut + 1 :]
        texts.append(text)
    return texts
