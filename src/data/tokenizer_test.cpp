#include "data/tokenizer.h"

#include "base/json.h"
#include "base/random.h"
#include "data/normalizer.h"
#include "data/relay_text.h"
#include "data/test_files.h"
#include "data/utf8.h"

namespace fathom::data {
namespace {

std::string words(std::string_view text, NormalizerOptions options = {}) {
  std::string out;
  split_words(text, options, out);
  for (char& c : out)
    if (c == '\n') c = '|';
  return out;
}

// Expected values are those of Hugging Face's BertNormalizer and BertPreTokenizer (tokenizers 0.23.3).
TEST(Normalizer, GivesTheWordsOfTheReference) {
  EXPECT_EQ(words("Héllo, WORLD!"), "hello|,|world|!|");
  EXPECT_EQ(words(std::string_view("a\0b\xE2\x80\x8B" "c\xEF\xBF\xBD" "d", 11)), "abcd|");
  EXPECT_EQ(words("x\u00A0y\u3000z\xC2\x85w"), "x|y|zw|");
  EXPECT_EQ(words("北京2008"), "北|京|2008|");
  EXPECT_EQ(words("İstanbul Ⅷ ß ẞ"), "istanbul|ⅷ|ß|ß|");
  EXPECT_EQ(words("don't stop—now…"), "don|'|t|stop|—|now|…|");
  EXPECT_EQ(words("naïve\u0301 ά Й ё"), "naive|α|и|е|");
  EXPECT_EQ(words("한국"), "\u1112\u1161\u11AB\u1100\u116E\u11A8|");
}

TEST(Normalizer, ObeysItsOptions) {
  EXPECT_EQ(words("Héllo 北", {true, false, false, false}), "Héllo|北|");
  EXPECT_EQ(words("Héllo", {true, true, false, true}), "héllo|");
}

TEST(Utf8, ReplacesDamage) {
  EXPECT_TRUE(is_utf8("aé北😀"));
  EXPECT_EQ(repair_utf8("a\xFF" "b"), "a\uFFFD" "b");
  EXPECT_EQ(repair_utf8("\xC0\x80"), "\uFFFD\uFFFD");              // overlong
  EXPECT_EQ(repair_utf8("\xED\xA0\x80"), "\uFFFD\uFFFD\uFFFD");    // surrogate
  EXPECT_EQ(repair_utf8("\xE5\x8C"), "\uFFFD");                    // cut short
  EXPECT_FALSE(is_utf8("\xF5\x80\x80\x80"));
}

Tokenizer trained(const std::vector<std::string>& texts, TokenizerOptions options = {}) {
  auto tokenizer = Tokenizer::train(texts, options);
  EXPECT_TRUE(tokenizer.has_value()) << message_of(tokenizer);
  return std::move(tokenizer).value();
}

std::vector<std::string> pieces_of(const Tokenizer& tokenizer, std::string_view text, int max_tokens = 64) {
  std::vector<std::int32_t> ids;
  tokenizer.encode(text, max_tokens, ids);
  std::vector<std::string> lines, out;
  const std::string vocabulary = tokenizer.vocab_text();
  for (std::size_t at = 0; at < vocabulary.size();) {
    const std::size_t end = vocabulary.find('\n', at);
    lines.push_back(vocabulary.substr(at, end - at));
    at = end + 1;
  }
  for (const std::int32_t id : ids) out.push_back(lines.at(static_cast<std::size_t>(id)));
  return out;
}

using Pieces = std::vector<std::string>;

TEST(Tokenizer, SpecialTokensComeFirst) {
  EXPECT_TRUE(trained({"a b"}).vocab_text().starts_with("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n0\n1\n"));
}

TEST(Tokenizer, JoinsTheMostFrequentPairFirst) {
  // "low" 5 times, "lot" twice: (l,##o) is joined first, then (lo,##w); (lo,##t) last.
  const Tokenizer tokenizer = trained({"low low low low low lot lot"});
  const std::string vocabulary = tokenizer.vocab_text();
  EXPECT_TRUE(vocabulary.ends_with("\nlo\nlow\nlot\n")) << vocabulary;
  EXPECT_EQ(pieces_of(tokenizer, "low lox"), (Pieces{"[CLS]", "low", "lo", "##x", "[SEP]"}));
}

TEST(Tokenizer, PairsSeenTooSeldomAreNotJoined) {
  EXPECT_EQ(pieces_of(trained({"rare words"}), "rare").size(), 6u);
  TokenizerOptions options;
  options.min_count = 1;
  EXPECT_EQ(pieces_of(trained({"rare words"}, options), "rare"), (Pieces{"[CLS]", "rare", "[SEP]"}));
}

TEST(Tokenizer, FewDistinctWordsEndAsOnePieceEach) {
  Random random(5);
  std::vector<std::string> texts;
  for (int i = 0; i < 500; ++i) texts.push_back(relay_text(draw_relay(random)));
  TokenizerOptions options;
  options.append_sep = false;
  const Tokenizer tokenizer = trained(texts, options);
  for (const std::string& text : texts) {
    std::vector<std::int32_t> ids;
    EXPECT_FALSE(tokenizer.encode(text, 11, ids));
    ASSERT_EQ(ids.size(), 11u) << text;
  }
}

TEST(Tokenizer, UnknownCharactersAndOverlongWordsAreUnknown) {
  const Tokenizer tokenizer = trained({"ab ab"});
  EXPECT_EQ(pieces_of(tokenizer, "ab é北 ab"), (Pieces{"[CLS]", "ab", "e", "[UNK]", "ab", "[SEP]"}));
  EXPECT_EQ(pieces_of(tokenizer, std::string(101, 'a')), (Pieces{"[CLS]", "[UNK]", "[SEP]"}));
  EXPECT_EQ(pieces_of(tokenizer, std::string(100, 'z'), 200).size(), 102u);
}

TEST(Tokenizer, CutsToTheLimit) {
  const Tokenizer tokenizer = trained({"one two three one two three"});
  std::vector<std::int32_t> ids = {7};
  EXPECT_TRUE(tokenizer.encode("one two three", 4, ids));
  EXPECT_EQ(ids.size(), 5u);  // appended to what was there
  EXPECT_EQ(pieces_of(tokenizer, "one two three", 4), (Pieces{"[CLS]", "one", "two", "[SEP]"}));
  EXPECT_EQ(pieces_of(tokenizer, "one", 3), (Pieces{"[CLS]", "one", "[SEP]"}));
  EXPECT_EQ(pieces_of(tokenizer, "", 8), (Pieces{"[CLS]", "[SEP]"}));
  EXPECT_EQ(pieces_of(tokenizer, "one [SEP] two"), (Pieces{"[CLS]", "one", "[SEP]", "two", "[SEP]"}));
}

TEST(Tokenizer, TheSameTextsGiveTheSameBytesAndReadingGivesThemBack) {
  const std::vector<std::string> texts = {"the cat sat on the mat", "the dog sat on the cat", "Ünïcode 北京 “quotes”"};
  const Tokenizer tokenizer = trained(texts);
  EXPECT_EQ(tokenizer.to_json(), trained(texts).to_json());
  const TestFolder folder;
  folder.put("tokenizer.json", tokenizer.to_json());
  const auto back = Tokenizer::read(folder.path());
  ASSERT_TRUE(back.has_value()) << message_of(back);
  EXPECT_EQ(back->to_json(), tokenizer.to_json());
  EXPECT_EQ(pieces_of(*back, "the cats “sat”"), pieces_of(tokenizer, "the cats “sat”"));
}

TEST(Tokenizer, ComponentsNotKnownAreRefusedByName) {
  const Json good = Json::parse(trained({"a b"}).to_json());
  const auto read = [](const Json& json) {
    const TestFolder folder;
    folder.put("tokenizer.json", json.dump());
    return Tokenizer::read(folder.path());
  };
  EXPECT_TRUE(read(good).has_value());
  const auto with = [&](const char* pointer, const Json& value) {
    Json json = good;
    json[Json::json_pointer(pointer)] = value;
    return read(json);
  };
  EXPECT_FAILS(with("/normalizer/type", "Lowercase"), Code::unsupported, "normalizer 'Lowercase'");
  EXPECT_FAILS(with("/pre_tokenizer/type", "ByteLevel"), Code::unsupported, "pre_tokenizer 'ByteLevel'");
  EXPECT_FAILS(with("/model/type", "BPE"), Code::unsupported, "model 'BPE'");
  EXPECT_FAILS(with("/post_processor/type", "RobertaProcessing"), Code::unsupported, "post_processor 'RobertaProcessing'");
  EXPECT_FAILS(with("/decoder/type", "ByteLevel"), Code::unsupported, "decoder 'ByteLevel'");
  EXPECT_FAILS(with("/extra", 1), Code::unsupported, "'extra'");
  EXPECT_FAILS(with("/added_tokens/0/content", "<s>"), Code::unsupported, "added token '<s>'");
  EXPECT_FAILS(with("/model/vocab/a", 1), Code::corrupt_bundle, "shares its id");
  EXPECT_FAILS(with("/model/vocab/a", 100000), Code::corrupt_bundle, "id of piece 'a'");
  EXPECT_FAILS(with("/model/vocab/a", -1), Code::corrupt_bundle, "id of piece 'a'");
  EXPECT_FAILS(with("/model/vocab/a", Json::array({1})), Code::corrupt_bundle, "id");
  EXPECT_FAILS(with("/model/vocab", Json::object()), Code::corrupt_bundle, "'vocab' is missing");
  EXPECT_FAILS(with("/post_processor/single", Json::array()), Code::unsupported, "template");
}

TEST(Tokenizer, DamagedFilesAndWrongOptionsEndWithAnError) {
  const TestFolder folder;
  EXPECT_FAILS(Tokenizer::read(folder.path()), Code::io, "tokenizer.json");
  const std::string good = trained({"a b"}).to_json();
  folder.put("tokenizer.json", good.substr(0, good.size() / 2));
  EXPECT_FAILS(Tokenizer::read(folder.path()), Code::corrupt_bundle, "not valid JSON");
  TokenizerOptions options;
  options.vocab_size = 10;
  EXPECT_FAILS(Tokenizer::train({"a"}, options), Code::usage, "vocabulary size 10");
  EXPECT_FAILS(Tokenizer::train({" ", ""}, {}), Code::bad_input, "no words");
  Random random(3);
  for (int i = 0; i < 200; ++i) {
    std::string bad = good;
    bad[random.below(bad.size())] = static_cast<char>(random.below(256));
    folder.put("tokenizer.json", bad);
    const auto read = Tokenizer::read(folder.path());  // must come back, whatever it says
    if (read.has_value()) {
      EXPECT_GT(read->vocab_size(), 5);
    }
  }
}

TEST(Tokenizer, AnyBytesGiveIdsInRange) {
  const Tokenizer tokenizer = trained({"some words here, some words there"});
  Random random(4);
  for (int i = 0; i < 2000; ++i) {
    std::string bytes;
    for (std::size_t n = random.below(40); n > 0; --n) bytes += static_cast<char>(random.below(256));
    std::vector<std::int32_t> ids;
    tokenizer.encode(bytes, 16, ids);
    ASSERT_LE(ids.size(), 16u);
    for (const std::int32_t id : ids) ASSERT_TRUE(id >= 0 && id < tokenizer.vocab_size());
  }
}

TEST(Tokenizer, VocabularySizeIsAnUpperBound) {
  std::vector<std::string> texts;
  Random random(9);
  for (int i = 0; i < 300; ++i) {
    std::string word;
    for (int c = 0; c < 6; ++c) word += static_cast<char>('a' + random.below(26));
    texts.push_back(word + " " + word);
  }
  TokenizerOptions options;
  options.vocab_size = 150;
  EXPECT_EQ(trained(texts, options).vocab_size(), 150);
}

}  // namespace
}  // namespace fathom::data
