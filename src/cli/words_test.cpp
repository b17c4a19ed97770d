#include "cli/words.h"

#include <gtest/gtest.h>

namespace fathom::cli {
namespace {

TEST(Words, NearestFindsSlipsAndRefusesStrangers) {
  const std::vector<std::string> verbs = {"generate", "fit", "eval", "run", "report"};
  EXPECT_EQ(nearest("evla", verbs), "eval");
  EXPECT_EQ(nearest("reprot", verbs), "report");
  EXPECT_EQ(nearest("fitt", verbs), "fit");
  EXPECT_EQ(nearest("xyzzy", verbs), "");
  EXPECT_EQ(nearest("", verbs), "");
}

TEST(Words, TrajectoryShowsSkippedLayers) {
  EXPECT_EQ(trajectory_text(0b0111, 4), "●●●○");
  EXPECT_EQ(trajectory_text(0b1001, 4), "●○○●");
}

TEST(Words, SizesAreReadable) {
  EXPECT_EQ(macs_text(1234567), "1.23 MMAC");
  EXPECT_EQ(bytes_text(999), "999 B");
  EXPECT_EQ(bytes_text(999600), "1 MB");
}

TEST(Words, OneLineNeverCutsACharacter) {
  EXPECT_EQ(one_line("a\nb", 10), "a b");
  EXPECT_EQ(one_line("éé", 3), "éé");
  EXPECT_EQ(one_line("ééé", 2), "é...");
}

TEST(Words, ExitCodesFollowTheHundreds) {
  EXPECT_EQ(exit_code(Code::usage), 2);
  EXPECT_EQ(exit_code(Code::corrupt_bundle), 3);
  EXPECT_EQ(exit_code(Code::limit), 4);
  EXPECT_EQ(exit_code(Code::quality), 5);
  EXPECT_EQ(exit_code(Code::internal), 1);
  EXPECT_EQ(exit_code(Code::cancelled), 130);
}

}  // namespace
}  // namespace fathom::cli
