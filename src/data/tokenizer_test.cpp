#include "data/tokenizer.h"

#include <algorithm>

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
  EXPECT_EQ(words(std::string_view("a\0b\xE2\x80\x8B"
                                   "c\xEF\xBF\xBD"
                                   "d",
                                   11)),
            "abcd|");
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
  EXPECT_EQ(repair_utf8("a\xFF"
                        "b"),
            "a\uFFFD"
            "b");
  EXPECT_EQ(repair_utf8("\xC0\x80"), "\uFFFD\uFFFD");            // overlong
  EXPECT_EQ(repair_utf8("\xED\xA0\x80"), "\uFFFD\uFFFD\uFFFD");  // surrogate
  EXPECT_EQ(repair_utf8("\xE5\x8C"), "\uFFFD");                  // cut short
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
  EXPECT_FAILS(with("/model/type", "Unigram"), Code::unsupported, "model 'Unigram'");
  EXPECT_FAILS(with("/model/type", "BPE"), Code::unsupported,
               "pre_tokenizer 'BertPreTokenizer' is not supported (expected ByteLevel)");
  EXPECT_FAILS(with("/post_processor/type", "RobertaProcessing"), Code::corrupt_bundle, "'cls' is not [name, id]");
  EXPECT_FAILS(with("/post_processor/type", "Whatever"), Code::unsupported, "post_processor 'Whatever'");
  EXPECT_FAILS(with("/post_processor/special_tokens/[CLS]/ids/0", 100000), Code::corrupt_bundle, "id of '[CLS]'");
  EXPECT_FAILS(with("/post_processor/special_tokens/[CLS]", 7), Code::corrupt_bundle, "does not hold '[CLS]'");
  EXPECT_FAILS(with("/decoder/type", "ByteLevel"), Code::unsupported, "decoder 'ByteLevel'");
  EXPECT_FAILS(with("/extra", 1), Code::unsupported, "'extra'");
  EXPECT_FAILS(with("/added_tokens/0/content", "<s>"), Code::corrupt_bundle, "added token '<s>' has id 0, expected");
  EXPECT_FAILS(with("/added_tokens/0/id", 3), Code::corrupt_bundle, "added token '[PAD]' has id 3, expected 0");
  EXPECT_FAILS(with("/added_tokens/0/id", 1e30), Code::corrupt_bundle, "'id' must be a whole number");
  EXPECT_FAILS(with("/added_tokens/0/lstrip", "yes"), Code::corrupt_bundle, "'lstrip' must be true or false");
  EXPECT_FAILS(with("/added_tokens/1", good["added_tokens"][0]), Code::corrupt_bundle, "'[PAD]' stands twice");
  EXPECT_FAILS(with("/truncation", Json({{"direction", "Up"}})), Code::unsupported, "truncation direction 'Up'");
  EXPECT_FAILS(with("/model/max_input_chars_per_word", 1000), Code::limit, "max_input_chars_per_word is 1000");
  EXPECT_FAILS(with("/model/max_input_chars_per_word", -1), Code::corrupt_bundle, "max_input_chars_per_word");
  EXPECT_FAILS(with("/model/unk_token", "<unk>"), Code::corrupt_bundle, "'<unk>' is missing");
  EXPECT_FAILS(with("/model/vocab/a", 1 << 24), Code::corrupt_bundle, "id of piece 'a'");
  EXPECT_FAILS(with("/model/vocab/a", -1), Code::corrupt_bundle, "id of piece 'a'");
  EXPECT_FAILS(with("/model/vocab/a", Json::array({1})), Code::corrupt_bundle, "id");
  EXPECT_FAILS(with("/model/vocab", Json::object()), Code::corrupt_bundle, "'vocab' is missing");
  EXPECT_FAILS(with("/post_processor/single", Json::array()), Code::unsupported, "template");
}

// A byte-level tokenizer of a few pieces: all letters, "he", "hel", "lo", " w" and RoBERTa's special tokens.
Json small_bpe() {
  Json root = {{"version", "1.0"}, {"truncation", nullptr}, {"padding", nullptr}, {"normalizer", nullptr}};
  root["added_tokens"] = Json::array();
  root["pre_tokenizer"] = {
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", true}};
  root["post_processor"] = {{"type", "RobertaProcessing"},
                            {"sep", {"</s>", 1}},
                            {"cls", {"<s>", 0}},
                            {"trim_offsets", true},
                            {"add_prefix_space", false}};
  root["decoder"] = {{"type", "ByteLevel"}, {"add_prefix_space", true}, {"trim_offsets", true}, {"use_regex", true}};
  Json vocabulary = Json::object();
  for (const char* piece : {"<s>", "</s>", "Ġ", "h", "e", "l", "o", "w", "r", "d", "he", "hel", "lo", "Ġw", "'", "s"})
    vocabulary[piece] = vocabulary.size();
  root["model"] = {{"type", "BPE"},
                   {"dropout", nullptr},
                   {"unk_token", nullptr},
                   {"continuing_subword_prefix", ""},
                   {"end_of_word_suffix", ""},
                   {"fuse_unk", false}};
  root["model"]["vocab"] = vocabulary;
  root["model"]["merges"] = {"h e", "l o", "he l", "Ġ w"};
  return root;
}

Result<Tokenizer> read_json(const Json& json) {
  const TestFolder folder;
  folder.put("tokenizer.json", json.dump());
  return Tokenizer::read(folder.path());
}

TEST(ByteLevelBpe, JoinsTheEarliestLearntPairAndNamesTheEnds) {
  const auto tokenizer = read_json(small_bpe());
  ASSERT_TRUE(tokenizer.has_value()) << message_of(tokenizer);
  EXPECT_EQ(pieces_of(*tokenizer, "hello world"), (Pieces{"<s>", "hel", "lo", "Ġw", "o", "r", "l", "d", "</s>"}));
  EXPECT_EQ(pieces_of(*tokenizer, "he's  w"), (Pieces{"<s>", "he", "'", "s", "Ġ", "Ġw", "</s>"}));
  EXPECT_EQ(pieces_of(*tokenizer, "hello", 3), (Pieces{"<s>", "hel", "</s>"}));
  EXPECT_EQ(pieces_of(*tokenizer, "h北e\xFF"), (Pieces{"<s>", "he", "</s>"}));  // bytes that are no piece are dropped
  EXPECT_EQ(pieces_of(*tokenizer, "</s>"), (Pieces{"<s>", "s", "</s>"}));       // no added token here
}

TEST(ByteLevelBpe, LongWordsAreJoinedLikeShortOnes) {
  const auto tokenizer = read_json(small_bpe());
  ASSERT_TRUE(tokenizer.has_value()) << message_of(tokenizer);
  Random random(8);
  for (int i = 0; i < 200; ++i) {
    std::string word;
    Pieces wanted = {"<s>"};
    for (int part = 0; part < 40; ++part) {
      const std::string one = random.below(2) == 0 ? "hes" : "lor";  // no piece reaches from one into the next
      word += one;
      for (const char* piece : {one == "hes" ? "he" : "lo", one == "hes" ? "s" : "r"}) wanted.emplace_back(piece);
    }
    wanted.emplace_back("</s>");
    ASSERT_EQ(pieces_of(*tokenizer, word, 1000), wanted);
  }
}

TEST(ByteLevelBpe, AWordOfAMillionLettersTakesNoSquaredTime) {
  const auto tokenizer = read_json(small_bpe());
  ASSERT_TRUE(tokenizer.has_value()) << message_of(tokenizer);
  std::vector<std::int32_t> ids;
  EXPECT_FALSE(tokenizer->encode(std::string(1'000'000, 'h'), 2'000'000, ids));
  EXPECT_EQ(ids.size(), 1'000'002u);
}

TEST(ByteLevelBpe, WhatIsWrongOrUnknownIsNamed) {
  const auto with = [](const char* pointer, const Json& value) {
    Json json = small_bpe();
    json[Json::json_pointer(pointer)] = value;
    return read_json(json);
  };
  EXPECT_FAILS(with("/model/merges/0", "h x"), Code::corrupt_bundle, "merge 0: 'x' is not in the vocabulary");
  EXPECT_FAILS(with("/model/merges/0", "h h"), Code::corrupt_bundle, "merge 0: 'hh' is not in the vocabulary");
  EXPECT_FAILS(with("/model/merges/0", "h e l"), Code::corrupt_bundle, "merge 0 is neither");
  EXPECT_FAILS(with("/model/merges/0", Json::array({"h", 3})), Code::corrupt_bundle, "merge 0 is neither");
  EXPECT_FAILS(with("/model/merges", 3), Code::corrupt_bundle, "'merges' is missing or no list");
  EXPECT_FAILS(with("/model/dropout", 0.1), Code::unsupported, "dropout 0.1 is not supported");
  EXPECT_FAILS(with("/model/byte_fallback", true), Code::unsupported, "byte_fallback true");
  EXPECT_FAILS(with("/model/end_of_word_suffix", "</w>"), Code::unsupported, "end_of_word_suffix");
  EXPECT_FAILS(with("/model/unk_token", "<unk>"), Code::corrupt_bundle, "'<unk>' is missing");
  EXPECT_FAILS(with("/pre_tokenizer/use_regex", false), Code::unsupported, "use_regex false");
  EXPECT_FAILS(with("/pre_tokenizer/type", "Metaspace"), Code::unsupported, "pre_tokenizer 'Metaspace'");
  EXPECT_FAILS(with("/normalizer", Json({{"type", "NFC"}})), Code::unsupported, "normalizer 'NFC'");
  EXPECT_FAILS(with("/post_processor/cls", Json::array({"<s>", 99})), Code::corrupt_bundle,
               "the id of '<s>' is not in 0..15");
  EXPECT_FAILS(with("/post_processor/sep", "</s>"), Code::corrupt_bundle, "'sep' is not [name, id]");
}

TEST(VocabText, GivesBertsDefaultsAndObeysTheConfig) {
  const TestFolder folder;
  folder.put("vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nab\nAb\n##c\né\ne\n");
  const auto plain = Tokenizer::read(folder.path());
  ASSERT_TRUE(plain.has_value()) << message_of(plain);
  EXPECT_EQ(pieces_of(*plain, "Abc é [MASK]"), (Pieces{"[CLS]", "ab", "##c", "e", "[MASK]", "[SEP]"}));
  folder.put("tokenizer_config.json", R"({"do_lower_case": false})");
  const auto cased = Tokenizer::read(folder.path());
  ASSERT_TRUE(cased.has_value()) << message_of(cased);
  EXPECT_EQ(pieces_of(*cased, "Abc é"), (Pieces{"[CLS]", "Ab", "##c", "é", "[SEP]"}));
  folder.put("tokenizer_config.json", R"({"do_lower_case": "no"})");
  EXPECT_FAILS(Tokenizer::read(folder.path()), Code::corrupt_bundle, "'do_lower_case' must be true or false");
  fs::remove(folder.path() / "tokenizer_config.json");
  folder.put("vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[MASK]\n");
  EXPECT_FAILS(Tokenizer::read(folder.path()), Code::corrupt_bundle, "'[SEP]' is missing");
  folder.put("vocab.txt", "[PAD]\n[CLS]\n[SEP]\n");
  EXPECT_FAILS(Tokenizer::read(folder.path()), Code::corrupt_bundle, "'[UNK]' is missing");
  folder.put("vocab.txt", "\xFF\n");
  EXPECT_FAILS(Tokenizer::read(folder.path()), Code::corrupt_bundle, "not UTF-8");
}

std::vector<std::int32_t> ids_of(const fs::path& folder, std::string_view text, int most = 64) {
  const auto tokenizer = Tokenizer::read(folder);
  EXPECT_TRUE(tokenizer.has_value()) << message_of(tokenizer);
  std::vector<std::int32_t> ids;
  if (tokenizer.has_value()) tokenizer->encode(text, most, ids);
  return ids;
}
using Ids = std::vector<std::int32_t>;

TEST(VocabText, TheLastOfEqualPiecesCountsAndEmptyLinesHaveAnId) {
  const TestFolder folder;
  folder.put("vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\nab\n\nab \nc\r\n");
  EXPECT_EQ(ids_of(folder.path(), "ab c"), (Ids{2, 6, 7, 3}));
  EXPECT_EQ(ids_of(folder.path(), "[MASK]"), (Ids{2, 7, 3}));  // 7 pieces differ: the default name gets the next id
}

TEST(TokenizerFolder, TheConfigOverridesTokenizerJson) {
  const TestFolder folder;
  Json json = Json::parse(trained({"ab AB cd AB"}).to_json());
  const std::int32_t ab = 91, cd = 92;
  json["model"]["vocab"]["AB"] = 90;
  json["model"]["vocab"]["ab"] = ab;
  json["model"]["vocab"]["cd"] = cd;
  folder.put("tokenizer.json", json.dump());
  EXPECT_EQ(ids_of(folder.path(), "AB"), (Ids{2, ab, 3}));
  folder.put("tokenizer_config.json", R"({"tokenizer_class": "BertTokenizerFast", "do_lower_case": false})");
  EXPECT_EQ(ids_of(folder.path(), "AB"), (Ids{2, 90, 3}));
  const auto noted = Tokenizer::read(folder.path());
  ASSERT_EQ(noted->notes().size(), 1u);
  EXPECT_NE(noted->notes()[0].find("do_lower_case"), std::string::npos);
  folder.put("tokenizer_config.json", R"({"tokenizer_class": "PreTrainedTokenizerFast", "do_lower_case": false})");
  EXPECT_EQ(ids_of(folder.path(), "AB"), (Ids{2, ab, 3}));  // this class reads tokenizer.json alone
  folder.put("tokenizer_config.json",
             R"({"truncation_side": "left", "model_max_length": 5, "sound": 1, "mask_token": null})");
  const auto left = Tokenizer::read(folder.path());
  ASSERT_TRUE(left.has_value()) << message_of(left);
  EXPECT_EQ(left->longest(), std::optional<std::int64_t>(5));
  EXPECT_EQ(left->unread(), std::vector<std::string>{"tokenizer_config.json: 'sound'"});
  EXPECT_EQ(ids_of(folder.path(), "ab ab cd", 4), (Ids{2, ab, cd, 3}));
  folder.put("tokenizer.json", left->to_json());  // written and read again it still cuts at the left
  fs::remove(folder.path() / "tokenizer_config.json");
  EXPECT_EQ(ids_of(folder.path(), "ab ab cd", 4), (Ids{2, ab, cd, 3}));
}

TEST(TokenizerFolder, WhatIsNotComputedIsRefusedByName) {
  const TestFolder folder;
  folder.put("tokenizer.json", trained({"a b"}).to_json());
  const auto with = [&](const char* config) {
    folder.put("tokenizer_config.json", config);
    return Tokenizer::read(folder.path());
  };
  EXPECT_FAILS(with(R"({"tokenizer_class": "BertJapaneseTokenizer"})"), Code::unsupported, "MeCab");
  EXPECT_FAILS(with(R"({"tokenizer_class": "PhobertTokenizer"})"), Code::unsupported, "fastBPE");
  EXPECT_FAILS(with(R"({"tokenizer_class": "OurTokenizer"})"), Code::unsupported, "'OurTokenizer'");
  EXPECT_FAILS(with(R"({"tokenizer_class": "RobertaTokenizer"})"), Code::unsupported, "does not go with");
  EXPECT_FAILS(with(R"({"auto_map": {"AutoTokenizer": ["a", "b"]}})"), Code::unsupported, "auto_map");
  EXPECT_FAILS(with(R"({"split_special_tokens": true})"), Code::unsupported, "split_special_tokens");
  EXPECT_FAILS(with(R"({"truncation_side": "up"})"), Code::unsupported, "truncation_side");
  EXPECT_FAILS(with(R"({"model_max_length": 0})"), Code::unsupported, "model_max_length");
  EXPECT_FAILS(with(R"({"added_tokens_decoder": {"x": {"content": "a"}}})"), Code::corrupt_bundle, "'x'");
  EXPECT_FAILS(with(R"([1])"), Code::corrupt_bundle, "not a JSON object");
}

TEST(TokenizerFolder, ALongWordOrTokenTakesNoSquaredTime) {
  const TestFolder folder;
  Json json = Json::parse(trained({"a b"}).to_json());
  const std::size_t next = json["model"]["vocab"].size() + 1;  // ids count what is added below
  json["model"]["vocab"]["##" + std::string(200'000, 'a')] = 95;
  folder.put("tokenizer.json", json.dump());
  EXPECT_EQ(ids_of(folder.path(), std::string(200'000, 'a')), (Ids{2, 1, 3}));
  json["added_tokens"].push_back(json["added_tokens"][0]);
  json["added_tokens"].back()["content"] = std::string(300, 'a');
  json["added_tokens"].back()["id"] = next;
  folder.put("tokenizer.json", json.dump());
  EXPECT_FAILS(Tokenizer::read(folder.path()), Code::limit, "has 300 bytes, at most 256");
}

TEST(Tokenizer, PairsAreCutLongestFirst) {
  const Tokenizer tokenizer = trained({"one two three four one two three four"});
  std::vector<std::int32_t> ids, types;
  EXPECT_FALSE(tokenizer.encode_pair("one two", "three", 16, ids, types));
  EXPECT_EQ(ids.size(), 6u);
  EXPECT_EQ(types, (std::vector<std::int32_t>{0, 0, 0, 0, 1, 1}));
  const auto kept = [&](const char* first, const char* second, int most) {
    ids.clear();
    types.clear();
    EXPECT_TRUE(tokenizer.encode_pair(first, second, most, ids, types));
    EXPECT_EQ(ids.size(), types.size());
    const auto ones = std::count(types.begin(), types.end(), 1);
    return std::pair(static_cast<int>(ids.size()) - static_cast<int>(ones) - 2, static_cast<int>(ones) - 1);
  };
  EXPECT_EQ(kept("one two three four", "one", 6), (std::pair{2, 1}));
  EXPECT_EQ(kept("one", "one two three four", 6), (std::pair{1, 2}));
  EXPECT_EQ(kept("one two three four", "one two three", 8), (std::pair{3, 2}));
  EXPECT_EQ(kept("one two three", "one two three four", 8), (std::pair{2, 3}));
  EXPECT_EQ(kept("one two three", "one two", 2), (std::pair{0, 0}));
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
  const std::string bpe = small_bpe().dump();
  for (int i = 0; i < 1000; ++i) {
    std::string bad = bpe;
    bad[random.below(bad.size())] = static_cast<char>(random.below(256));
    folder.put("tokenizer.json", bad);
    const auto read = Tokenizer::read(folder.path());
    if (!read.has_value()) continue;
    std::vector<std::int32_t> ids;
    read->encode("hello world's <s>", 64, ids);
    for (const std::int32_t id : ids) ASSERT_TRUE(id >= 0 && id < read->vocab_size());
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
