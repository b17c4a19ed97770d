// Against the library that builds trees: the same texts are JSON, and the events make the same tree.
#include "data/json_events.h"

#include <gtest/gtest.h>

#include "base/json.h"
#include "base/random.h"

namespace fathom::data {
namespace {

class TreeBuilder : public JsonHandler {
 public:
  Json root;
  bool null() override { return put(nullptr); }
  bool boolean(bool flag) override { return put(flag); }
  bool integer(std::int64_t number) override { return put(number); }
  bool natural(std::uint64_t number) override { return put(number); }
  bool real(double number) override { return put(number); }
  bool text(std::string_view value) override { return put(std::string(value)); }
  bool key(std::string_view name) override { return keys_.back() = name, true; }
  bool open_object() override { return open(Json::object()); }
  bool open_list() override { return open(Json::array()); }
  bool close() override {
    Json done = std::move(open_.back());
    open_.pop_back();
    keys_.pop_back();
    return put(std::move(done));
  }

 private:
  bool open(Json node) {
    open_.push_back(std::move(node));
    keys_.emplace_back();
    return true;
  }
  bool put(Json node) {
    if (open_.empty())
      root = std::move(node);
    else if (open_.back().is_array())
      open_.back().push_back(std::move(node));
    else
      open_.back()[keys_.back()] = std::move(node);
    return true;
  }
  std::vector<Json> open_;
  std::vector<std::string> keys_;
};

void expect_as_library(const std::string& text) {
  TreeBuilder builder;
  const auto broken = read_json_events(text, builder);
  ASSERT_EQ(!broken, Json::accept(text)) << text << " at " << broken.value_or(0);
  if (!broken) {
    EXPECT_EQ(builder.root.dump(), Json::parse(text).dump()) << text;
  }
}

TEST(JsonEvents, AcceptsAndReadsWhatTheLibraryDoes) {
  for (const char* text :
       {"{}", "[]", " [ ] ", "{\"a\":1}", "[1,2,[3,{\"x\":null}],true,false]", "\"\"", "0", "-0", "12", "-7", "1.5e3",
        "1E-2", "[1e400]", "1e-400", "18446744073709551615", "18446744073709551616", "-9223372036854775808",
        "-9223372036854775809", "\"\\u0120\\n\\\\\\\"\\/\\b\\f\\r\\t\"", "\"\\ud83d\\ude00\"", "\"Ġüñ狐\"",
        "{\"a\":{\"b\":{\"c\":[[[]]]}},\"d\":\"e\"}",
        // not JSON
        "", " ", "{", "}", "[", "]", "[1,]", "{\"a\":1,}", "{\"a\"}", "{\"a\" 1}", "{a:1}", "{1:2}", "[1 2]", "01", "-",
        "+1", ".5", "1.", "1e", "1e+", "tru", "nul", "truex", "\"", "\"\\\"", "\"\\x\"", "\"\\u12g4\"", "\"\\u12\"",
        "\"\\ud800\"", "\"\\ud800\\u0041\"", "\"\\udc00\"", "\"\t\"", "[]]", "{}{}", "\"\xff\"", "\"\xc3\"",
        "[\"\xed\xa0\x80\"]", "{,}", "[,]", "{\"a\":}", ":", ","})
    expect_as_library(text);
}

TEST(JsonEvents, MutatedTextsToo) {
  const std::string good =
      R"({"model": {"vocab": {"a": 0, "Ġb": 1, "\u0041\n": 2}, "merges": ["a b", ["c", "d"]], "x": -1.5e2},)"
      R"( "y": [true, null, {}]})";
  Random random(5);
  for (int i = 0; i < 20000; ++i) {
    std::string bad = good;
    for (std::uint64_t edits = 1 + random.below(3); edits > 0; --edits) {
      const std::size_t at = random.below(bad.size());
      const std::uint64_t what = random.below(4);
      if (what == 0)
        bad[at] = static_cast<char>(1 + random.below(255));  // the library ends at a zero byte
      else if (what == 1)
        bad.erase(at, 1 + random.below(4));
      else if (what == 2)
        bad.insert(at, 1, "{}[],:\"\\0-e. tfn"[random.below(16)]);
      else
        bad.resize(at + 1);
    }
    if (bad.starts_with("\xEF\xBB\xBF")) continue;  // a byte order mark: the library passes over it
    expect_as_library(bad);
    if (HasFatalFailure()) return;
  }
}

TEST(JsonEvents, DepthIsBounded) {
  TreeBuilder builder;
  EXPECT_TRUE(read_json_events(std::string(100000, '['), builder).has_value());
  EXPECT_FALSE(read_json_events(std::string(500, '[') + std::string(500, ']'), builder).has_value());
}

}  // namespace
}  // namespace fathom::data
