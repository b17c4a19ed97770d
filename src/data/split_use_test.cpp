#include "data/split_use.h"

#include <gtest/gtest.h>

namespace fathom::data {
namespace {

// Texts <name> <from> .. <name> <to - 1>.
Split texts(int from, int to) {
  Split out;
  for (int i = from; i < to; ++i) {
    out.texts.push_back("row number " + std::to_string(i));
    out.labels.push_back(0);
  }
  return out;
}

Dataset set_of(const std::string& fingerprint, Split train, Split calibrate) {
  Dataset out;
  out.fingerprint = fingerprint;
  out.part(Part::train) = std::move(train);
  out.part(Part::tune) = texts(-10, 0);
  out.part(Part::calibrate) = std::move(calibrate);
  return out;
}

std::vector<Fitted> asked(const Json& fathom, const Dataset& dataset, Part part) {
  auto got = fitted_on(fathom, dataset, part);
  EXPECT_TRUE(got.has_value());
  return got ? *got : std::vector<Fitted>();
}

TEST(SplitUse, KnowsWhatWasFittedOnWhichSplit) {
  const Dataset data = set_of("a", texts(0, 1000), texts(1000, 1200));
  Json use = Json::object();
  note_split_use(use, data, Part::train, {"trunk", "heads"});
  note_split_use(use, data, Part::train, {"heads", "moments"});
  note_split_use(use, data, Part::calibrate, {kOperatingPoints});
  const Json fathom = {{"split_use", use}};
  EXPECT_EQ(use["a"]["train"], Json({"heads", "moments", "trunk"}));
  EXPECT_EQ(fitted_text(asked(fathom, data, Part::train)), "heads, moments, trunk on its train rows");
  EXPECT_TRUE(asked(fathom, data, Part::calibrate).empty()) << "thresholds fit nothing";
  EXPECT_TRUE(asked(fathom, data, Part::tune).empty());
}

// A folder that grew by one row is carved anew: rows that were trained on stand in calibrate, under a new fingerprint.
TEST(SplitUse, KnowsRowsAgainUnderAnotherFingerprint) {
  const Dataset before = set_of("a", texts(0, 40000), texts(40000, 44000));
  Json use = Json::object();
  note_split_use(use, before, Part::train, {"heads"});
  const Json fathom = {{"split_use", use}};
  const auto again = asked(fathom, set_of("b", texts(0, 10), texts(30000, 34000)), Part::calibrate);
  ASSERT_EQ(again.size(), 1u);
  EXPECT_EQ(again[0].part, Part::train);
  EXPECT_GT(again[0].share, 0.5);
  const auto half = asked(fathom, set_of("b", texts(0, 10), texts(37000, 43000)), Part::calibrate);
  ASSERT_EQ(half.size(), 1u);
  EXPECT_NEAR(half[0].share, 0.5, 0.4);
  EXPECT_TRUE(asked(fathom, set_of("b", texts(0, 10), texts(40000, 44000)), Part::calibrate).empty()) << "fresh rows";
}

TEST(SplitUse, IsCarriedAndNamesATeacher) {
  const Dataset data = set_of("a", texts(0, 100), texts(100, 120)), other = set_of("b", texts(0, 5), texts(0, 90));
  Json teacher = Json::object(), student = Json::object();
  note_split_use(teacher, data, Part::train, {"trunk"});
  note_split_use(teacher, data, Part::calibrate, {kOperatingPoints});
  note_split_use(student, data, Part::train, {"heads"});
  carry_split_use(student, teacher, "teacher");
  EXPECT_EQ(student["a"]["train"], Json({"heads", "teacher: trunk"}));
  EXPECT_FALSE(student["a"].contains("calibrate"));
  EXPECT_EQ(asked({{"split_use", student}}, other, Part::calibrate).size(), 2u);
}

TEST(SplitUse, AnOlderCompressFittedOnCalibrate) {
  const Dataset data = set_of("a", texts(0, 100), texts(100, 120));
  const Json old = {{"data", {{"fingerprint", "a"}}}, {"provenance", {{"compressed", {{"from", "x"}}}}}};
  EXPECT_EQ(fitted_text(asked(old, data, Part::calibrate)), "moments on its calibrate rows");
  EXPECT_TRUE(asked(old, data, Part::train).empty());
  EXPECT_TRUE(asked({{"data", {{"fingerprint", "a"}}}}, data, Part::calibrate).empty());
}

TEST(SplitUse, PicturesAndPairsAreRowsToo) {
  Split pictures;
  pictures.height = pictures.width = 3;
  for (int i = 0; i < 50 * 27; ++i) pictures.pixels.push_back(static_cast<std::uint8_t>(i * i % 251));
  pictures.labels.assign(50, 0);
  EXPECT_NE(row_hash(pictures, 0), row_hash(pictures, 1));
  Split pairs = texts(0, 2);
  pairs.texts = {"a", "a"};
  pairs.second = {"b", "c"};
  EXPECT_NE(row_hash(pairs, 0), row_hash(pairs, 1));
}

TEST(SplitUse, ARecordThatIsNoneIsAnError) {
  const Dataset data = set_of("a", texts(0, 100), texts(100, 120));
  for (const Json& bad : {Json(3), Json{{"a", 1}}, Json{{"a", {{"train", 1}}}}, Json{{"a", {{"train", {1}}}}},
                          Json{{"b", {{"train", {"heads"}}, {"rows", {{"train", 1}}}}}}})
    EXPECT_FALSE(fitted_on({{"split_use", bad}}, data, Part::train).has_value()) << bad.dump();
}

}  // namespace
}  // namespace fathom::data
