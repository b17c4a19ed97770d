#include "bundle/bundle.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmath>
#include <fstream>
#include <functional>

#include "base/file.h"

namespace fathom {
namespace {

namespace fs = std::filesystem;

class BundleTest : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::temp_directory_path() / ("fathom_bundle_" + std::to_string(::getpid()));
    fs::remove_all(root_);
    fs::create_directories(root_);
    folder_ = root_ / "m";
  }
  void TearDown() override { fs::remove_all(root_); }

  static std::map<std::string, std::string> files() {
    static const float values[] = {1, 2, 3, 4};
    return {{"config.json", "{\"layers\":2}"},
            {"model.safetensors", safetensors_bytes({{"w", {values, {4}}}})},
            {"fathom.safetensors", safetensors_bytes({{"h", {values, {2}}}})},
            {"predictor.txt", "tree\n"}};
  }
  static Json fathom() { return {{"policy", {{"kind", "exits"}}}, {"data", {{"seed", 1}}}}; }
  void write() { ASSERT_TRUE(write_bundle(folder_, files(), fathom()).has_value()); }
  static void put(const fs::path& path, const std::string& bytes) {  // no fsync: many are written
    fs::remove(path);
    std::ofstream file(path, std::ios::binary);
    file << bytes;
    ASSERT_TRUE(file.good());
  }

  void refused(const std::vector<std::string>& words, Code code = Code::corrupt_bundle) {
    const auto opened = Bundle::open(folder_);
    ASSERT_FALSE(opened.has_value()) << words[0];
    EXPECT_EQ(opened.error().code, code) << opened.error().message;
    for (const auto& word : words)
      EXPECT_NE(opened.error().message.find(word), std::string::npos)
          << "'" << word << "' not in: " << opened.error().message;
  }
  // Writes fathom.json with one change.
  void with_fathom(const std::function<void(Json&)>& change) {
    auto json = parse_json(read_file(folder_ / "fathom.json").value(), "test").value();
    json.erase("sha256");
    change(json);
    put(folder_ / "fathom.json", json.dump());
  }

  fs::path root_, folder_;
};

TEST_F(BundleTest, RoundTrip) {
  write();
  const auto opened = Bundle::open(folder_);
  ASSERT_TRUE(opened.has_value()) << opened.error().message;
  const Bundle& bundle = **opened;
  EXPECT_EQ(bundle.config().at("layers"), 2);
  EXPECT_EQ(bundle.fathom().at("format"), 1);
  EXPECT_EQ(bundle.fathom().at("data").at("seed"), 1);
  EXPECT_EQ(bundle.predictor(), "tree\n");
  EXPECT_NE(bundle.weights()->find("w"), nullptr);
  EXPECT_NE(bundle.decision()->find("h"), nullptr);
  EXPECT_TRUE(bundle.verify().has_value());
  EXPECT_FALSE(fs::exists(folder_ / "costs.json"));
  for (const auto& item : fs::directory_iterator(folder_))
    EXPECT_EQ(item.path().string().find(".tmp-"), std::string::npos);
}

TEST_F(BundleTest, FriendlyOpening) {
  refused({"no bundle at", "m"}, Code::io);
  put(folder_.string(), "a file");
  refused({"not a folder"}, Code::io);
  fs::remove(folder_);
  fs::create_directories(folder_);
  put(folder_ / "config.json", "{}");
  refused({"not a bundle", "unfinished", "fathom.json"});
  ASSERT_EQ(::mkfifo((folder_ / "fathom.json").c_str(), 0600), 0);
  refused({"fathom.json", "not a regular file"});
}

TEST_F(BundleTest, EachMissingOrResizedFileIsNamed) {
  for (const auto& [name, bytes] : files()) {
    write();
    fs::remove(folder_ / name);
    refused({name, "missing", std::to_string(bytes.size())});
    for (const std::size_t size : {std::size_t{0}, bytes.size() - 1, bytes.size() + 1}) {
      std::string other = bytes;
      other.resize(size, ' ');
      put(folder_ / name, other);
      refused({name, "expected " + std::to_string(bytes.size()) + " bytes", "got " + std::to_string(size)});
    }
    fs::remove(folder_ / name);
    fs::create_directory(folder_ / name);
    refused({name, "not a regular file"});
    fs::remove(folder_ / name);
    ASSERT_EQ(::mkfifo((folder_ / name).c_str(), 0600), 0);
    refused({name, "not a regular file"});
    fs::remove(folder_ / name);
  }
}

TEST_F(BundleTest, EveryTruncationOfEveryFileIsRefused) {
  write();
  for (const char* name : {"fathom.json", "config.json", "model.safetensors", "fathom.safetensors"}) {
    const std::string whole = read_file(folder_ / name).value();
    for (std::size_t size = 0; size + 1 < whole.size(); ++size) {  // fathom.json's last byte is a newline
      put(folder_ / name, whole.substr(0, size));
      ASSERT_FALSE(Bundle::open(folder_).has_value()) << name << " " << size;
    }
    put(folder_ / name, whole);
  }
  EXPECT_TRUE(Bundle::open(folder_).has_value());
}

TEST_F(BundleTest, FathomJsonIsChecked) {
  write();
  with_fathom([](Json& json) { json["format"] = 2; });
  refused({"format 2", "reads 1"}, Code::unsupported);
  for (const Json& format : {Json("1"), Json(0), Json(1.5), Json()}) {
    with_fathom([&](Json& json) { json["format"] = format; });
    refused({"format"});
  }
  write();
  with_fathom([](Json& json) { json.erase("files"); });
  refused({"files"});
  for (const char* name : {"../x", "a/b", "/etc/passwd", "", ".", "..", "x y", "fathom.json", "a\nb"}) {
    write();
    with_fathom([&](Json& json) { json["files"][name] = {{"bytes", 1}, {"sha256", std::string(64, '0')}}; });
    refused({"files"});
  }
  write();
  with_fathom([](Json& json) { json["files"]["config.json"]["bytes"] = -1; });
  refused({"config.json", "bytes"});
  write();
  with_fathom([](Json& json) { json["files"]["config.json"]["sha256"] = "abc"; });
  refused({"config.json", "sha256"});
  write();
  with_fathom([](Json& json) { json["files"].erase("model.safetensors"); });
  refused({"does not list model.safetensors"});
  put(folder_ / "fathom.json", "[]");
  refused({"fathom.json", "object"});
}

TEST_F(BundleTest, PartsWithoutDecision) {
  auto some = files();
  some.erase("fathom.safetensors");
  some.erase("predictor.txt");
  ASSERT_TRUE(write_bundle(folder_, some, fathom()).has_value());
  const auto opened = Bundle::open(folder_);
  ASSERT_TRUE(opened.has_value()) << opened.error().message;
  EXPECT_EQ((*opened)->decision(), nullptr);
  EXPECT_TRUE((*opened)->predictor().empty());
  EXPECT_TRUE((*opened)->verify().has_value());
}

TEST_F(BundleTest, AChangedByteIsFoundAtOpenOrInWeightsByVerify) {
  for (const auto& [name, bytes] : files()) {
    write();
    std::string other = bytes;
    other.back() = name == "config.json" ? '}' : static_cast<char>(other.back() ^ 1);
    if (name == "config.json") other[other.size() - 2] = '3';
    put(folder_ / name, other);
    if (!name.ends_with(".safetensors")) {
      refused({name, "expected SHA-256"});
      continue;
    }
    const auto opened = Bundle::open(folder_);
    ASSERT_TRUE(opened.has_value()) << opened.error().message;
    for (const Status& status : {(*opened)->verify(), (*opened)->verify_weights()}) {
      ASSERT_FALSE(status.has_value()) << name;
      EXPECT_EQ(status.error().code, Code::corrupt_bundle);
      EXPECT_NE(status.error().message.find(name), std::string::npos);
    }
  }
}

TEST_F(BundleTest, FathomJsonKnowsItself) {
  write();
  const std::string text = read_file(folder_ / "fathom.json").value();
  EXPECT_TRUE(Bundle::open(folder_).value()->unchanged());
  const auto opened_after = [&](const char* what, const char* by) {
    std::string changed = text;
    changed.replace(changed.find(what), std::string(what).size(), by);
    put(folder_ / "fathom.json", changed);
    return Bundle::open(folder_).value();
  };
  EXPECT_FALSE(opened_after("\"seed\": 1", "\"seed\": 3")->unchanged());
  EXPECT_FALSE(opened_after("exits", "ezits")->unchanged());
  EXPECT_TRUE(opened_after("\"seed\": 1", "\"seed\":\t1")->unchanged()) << "the same JSON, spaced otherwise";
  EXPECT_TRUE(opened_after("\"sha256\": \"", "\"sha256\": \"")->unchanged());
  Json with = parse_json(text, "t").value();
  with["certificate"] = {{"delta", 0.01}};
  put(folder_ / "fathom.json", with.dump());
  EXPECT_TRUE(Bundle::open(folder_).value()->unchanged()) << "a certificate has a checksum of its own";
  with.erase("sha256");
  with["data"]["seed"] = 9;
  put(folder_ / "fathom.json", with.dump());
  EXPECT_TRUE(Bundle::open(folder_).value()->unchanged()) << "bundles of before have none";
}

TEST_F(BundleTest, VerifyRefusesNonFiniteWeightsByName) {
  for (const float wrong : {std::nanf(""), INFINITY, -INFINITY}) {
    const float values[] = {1, wrong};
    auto all = files();
    all["fathom.safetensors"] = safetensors_bytes({{"fine", {values, {1}}}, {"broken", {values, {2}}}});
    ASSERT_TRUE(write_bundle(folder_, all, fathom()).has_value());
    const Status status = Bundle::open(folder_).value()->verify();
    ASSERT_FALSE(status.has_value());
    EXPECT_NE(status.error().message.find("'broken': value 1 is not finite"), std::string::npos)
        << status.error().message;
  }
}

TEST_F(BundleTest, ChecksumIsTheIdentity) {
  write();
  const std::string first = Bundle::open(folder_).value()->checksum();
  EXPECT_EQ(first.size(), 64u);
  const std::string json = read_file(folder_ / "fathom.json").value();
  write();
  EXPECT_EQ(json, read_file(folder_ / "fathom.json").value());
  put(folder_ / "costs.json", "{\"ms\":1}");
  put(folder_ / "packed.fp32.avx2.bin", "xyz");
  EXPECT_EQ(Bundle::open(folder_).value()->checksum(), first);
  auto other = files();
  other["predictor.txt"] = "tree \n";
  ASSERT_TRUE(write_bundle(folder_, other, fathom()).has_value());
  EXPECT_NE(Bundle::open(folder_).value()->checksum(), first);
  write();
  with_fathom([](Json& changed) { changed["data"]["seed"] = 2; });
  EXPECT_NE(Bundle::open(folder_).value()->checksum(), first);
}

TEST_F(BundleTest, RewritingRetiresTheOldBundleFirst) {
  write();
  put(folder_ / "costs.json", "{}");
  put(folder_ / "packed.fp32.avx2.bin", "xyz");
  // The write fails halfway: predictor.txt cannot replace a folder that is not empty.
  fs::remove(folder_ / "predictor.txt");
  fs::create_directories(folder_ / "predictor.txt" / "inside");
  auto other = files();
  other["config.json"] = "{\"layers\":3}";
  EXPECT_FALSE(write_bundle(folder_, other, fathom()).has_value());
  EXPECT_FALSE(fs::exists(folder_ / "fathom.json"));
  refused({"not a bundle"});
  fs::remove_all(folder_ / "predictor.txt");
  ASSERT_TRUE(write_bundle(folder_, other, fathom()).has_value());
  EXPECT_EQ(Bundle::open(folder_).value()->config().at("layers"), 3);
  EXPECT_FALSE(fs::exists(folder_ / "costs.json"));
  EXPECT_FALSE(fs::exists(folder_ / "packed.fp32.avx2.bin"));
}

TEST_F(BundleTest, RewritingLeavesNoFileOfTheOldBundleAlone) {
  write();
  put(folder_ / "notes.txt", "the user's own");
  auto other = files();
  other["weights.int8.safetensors"] = other.at("model.safetensors");
  other.erase("model.safetensors");
  ASSERT_TRUE(write_bundle(folder_, other, fathom()).has_value());
  EXPECT_FALSE(fs::exists(folder_ / "model.safetensors"));
  EXPECT_TRUE(fs::exists(folder_ / "notes.txt"));
  EXPECT_NE(Bundle::open(folder_).value()->weights(), nullptr);
}

TEST_F(BundleTest, WriteRefusesBadNamesAndMissingParts) {
  for (const char* name : {"../x", "a/b", ".hidden", "fathom.json", "costs.json", "packed.fp32.avx2.bin", ""}) {
    auto other = files();
    other[name] = "x";
    const Status status = write_bundle(folder_, other, fathom());
    ASSERT_FALSE(status.has_value()) << name;
    EXPECT_EQ(status.error().code, Code::invalid_argument);
  }
  EXPECT_FALSE(write_bundle(folder_, {{"config.json", "{}"}}, fathom()).has_value());
  EXPECT_FALSE(fs::exists(folder_));
}

TEST_F(BundleTest, UpdateKeepsFiles) {
  EXPECT_EQ(update_bundle(folder_, fathom()).error().code, Code::io);
  write();
  Json changed = fathom();
  changed["operating_points"] = {{"fathom", {{"lambda", 0.5}}}};
  changed["files"] = {{"bogus", 1}};
  ASSERT_TRUE(update_bundle(folder_, changed).has_value());
  const auto opened = Bundle::open(folder_);
  ASSERT_TRUE(opened.has_value()) << opened.error().message;
  EXPECT_EQ((*opened)->fathom().at("operating_points").at("fathom").at("lambda"), 0.5);
  EXPECT_TRUE((*opened)->verify().has_value());
}

}  // namespace
}  // namespace fathom
