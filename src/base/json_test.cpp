#include "base/json.h"

#include <gtest/gtest.h>

#include <ctime>

#include "base/quote.h"
#include "base/random.h"

namespace fathom {
namespace {

double cpu_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

std::string object_of(int keys) {
  std::string text = "{";
  for (int i = 0; i < keys; ++i) text += (i > 0 ? ",\"key" : "\"key") + std::to_string(i) + "\":" + std::to_string(i);
  return text + "}";
}

std::string message_of(const std::string& text) {
  const auto json = parse_json(text, "'t.json'");
  return json ? "" : json.error().message;
}

TEST(JsonRead, RefusesDepthDuplicatesAndDamage) {
  EXPECT_TRUE(parse_json(R"({"a":[1,{"a":2}],"b":{"a":3}})", "t"));
  EXPECT_FALSE(parse_json(R"({"a":1,"a":2})", "t"));
  EXPECT_TRUE(parse_json(std::string(64, '[') + std::string(64, ']'), "t"));
  EXPECT_FALSE(parse_json(std::string(65, '[') + std::string(65, ']'), "t"));
  EXPECT_FALSE(parse_json(std::string(200000, '['), "t"));
  for (const char* bad :
       {"", " \n", "{", "{\"a\":}", "nul", "{\"a\":1}x", "\xff", "{\"a\":1e999}", "{\"a\" 1}", "[1,]"})
    EXPECT_FALSE(parse_json(bad, "t")) << bad;
}

TEST(JsonRead, BytesBehindANulAreAnError) {
  const std::string text = R"({"a":1})";
  EXPECT_FALSE(parse_json(text + std::string(1, '\0'), "t"));
  EXPECT_FALSE(parse_json(text + std::string("\0{\"a\":2}", 8), "t"));
  EXPECT_FALSE(parse_json(std::string("{\"a\":\"\0\"}", 9), "t"));
  EXPECT_EQ(parse_json(R"({"a":"\u0000"})", "t").value()["a"].get<std::string>(), std::string(1, '\0'));
}

TEST(JsonRead, SaysWhereAndNeverMuch) {
  EXPECT_EQ(message_of("{\n  \"a\": 1,\n  oops}"), "'t.json': not valid JSON at line 3, column 3");
  EXPECT_NE(message_of(R"({"a":1, "a":2})").find("key 'a' stands twice"), std::string::npos);
  for (const std::string& hostile :
       std::vector<std::string>{"{\"" + std::string(1'000'000, 'k') + "\":1,\"" + std::string(1'000'000, 'k') + "\":2}",
                                "{\"a\":\"" + std::string(1'000'000, 'A'), "{\"a\":\x1b]0;owned\x07}",
                                std::string("{\"\\u001b]0;\":1,\"\\u001b]0;\":2}")}) {
    const std::string message = message_of(hostile);
    EXPECT_FALSE(message.empty());
    EXPECT_LT(message.size(), 300u);
    EXPECT_EQ(message.find('\x1b'), std::string::npos) << message;
  }
}

TEST(JsonRead, NamesWhatCameInsteadOfAFile) {
  const auto pointer = parse_json("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n", "'t.json'");
  ASSERT_FALSE(pointer);
  EXPECT_NE(pointer.error().message.find("Git LFS pointer"), std::string::npos);
  EXPECT_NE(pointer.error().hint.find("git lfs pull"), std::string::npos);
  EXPECT_NE(message_of("<!DOCTYPE html><html>").find("web page"), std::string::npos);
}

TEST(JsonRead, CostsWhatItsLengthCosts) {
  const auto seconds = [](int keys) {
    const std::string text = object_of(keys);
    const double begin = cpu_seconds();
    const auto json = parse_json(text, "t");
    EXPECT_EQ(json->size(), static_cast<std::size_t>(keys));
    for (int i = 0; i < keys; ++i) EXPECT_EQ(json->at("key" + std::to_string(i)), i);
    return cpu_seconds() - begin;
  };
  const double once = seconds(100'000), four = seconds(400'000);
  EXPECT_LT(once, 2.0) << "n^2 comparisons took a minute";
  EXPECT_LT(four, 12 * once + 0.2) << "four times the keys";
}

TEST(JsonRead, ObjectsKeepOrderAndFindAll) {
  Random random(3, "json map");
  Json json = Json::object();
  std::vector<std::string> names;
  for (int i = 0; i < 200; ++i) {
    names.push_back("n" + std::to_string(random.below(1'000'000)) + "_" + std::to_string(i));
    json[names.back()] = i;
    json[names[random.below(names.size())]] = i;
  }
  EXPECT_EQ(json.size(), names.size());
  Json copy = json;
  for (std::size_t i = 0; i < names.size(); i += 3) copy.erase(names[i]);
  std::size_t at = 0;
  for (const auto& [key, value] : json.items()) EXPECT_EQ(key, names[at++]);
  for (std::size_t i = 0; i < names.size(); ++i) {
    EXPECT_TRUE(json.contains(names[i]));
    EXPECT_EQ(copy.contains(names[i]), i % 3 != 0) << i;
  }
  EXPECT_FALSE(copy.contains("absent"));
  EXPECT_EQ(parse_json(json.dump(), "t").value(), json);
  Json moved = std::move(json);
  EXPECT_TRUE(moved.contains(names.back()));
  EXPECT_THROW((void)std::as_const(moved)["absent"], std::exception) << "never a read past the object";
}

TEST(JsonRead, ChecksRangeAndType) {
  const Json json = parse_json(R"({"n":5,"big":18446744073709551615,"x":0.5,"s":"t","b":true,"l":[1]})", "t").value();
  EXPECT_EQ(json_int(json, "n", 0, 5, "t").value(), 5);
  EXPECT_FALSE(json_int(json, "n", 0, 4, "t"));
  EXPECT_FALSE(json_int(json, "big", 0, INT64_MAX, "t"));
  EXPECT_FALSE(json_int(json, "x", 0, 4, "t"));
  EXPECT_FALSE(json_int(json, "none", 0, 4, "t"));
  EXPECT_NEAR(json_number(json, "x", 0, 1, "t").value(), 0.5, 0);
  EXPECT_FALSE(json_string(json, "n", "t"));
  EXPECT_TRUE(json_bool(json, "b", "t").value());
  EXPECT_EQ(json_list(json, "l", "t").value()->size(), 1u);
  EXPECT_FALSE(json_list(json, "s", "t"));
  EXPECT_FALSE(json_object(json, "l", "t"));
  EXPECT_EQ(json_find(Json(3), "n"), nullptr);
  EXPECT_FALSE(json_int(Json::array(), "n", 0, 5, "t"));
}

TEST(Quote, KeepsTerminalsSafe) {
  EXPECT_EQ(quote("plain"), "'plain'");
  EXPECT_EQ(quote("\x1b]0;x\x07\n\x7f"), "'?]0;x" + std::string(3, '?') + "'");
  EXPECT_EQ(printable("a\nb\tc", 9, true), "a\nb?c");
  EXPECT_EQ(printable("\xC2\x9B"
                      "31m \xC3\xA9",
                      20),
            "?31m \xC3\xA9")
      << "C1 controls, but not letters";
  EXPECT_EQ(printable("\xC3\xA9\xC3\xA9\xC3\xA9", 3), "\xC3\xA9\xC3\xA9...") << "cut between characters";
  const std::string message = printable_message("the token '" + std::string(1'000'000, 'A') + "' is in no vocabulary");
  EXPECT_LT(message.size(), 1300u);
  EXPECT_TRUE(message.starts_with("the token 'AAA") && message.ends_with("AA' is in no vocabulary")) << message;
  EXPECT_LT(printable(std::string(1'000'000, '\x80'), 80).size(), 100u);
}

}  // namespace
}  // namespace fathom
