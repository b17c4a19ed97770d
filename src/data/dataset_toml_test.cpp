#include "data/dataset_toml.h"

#include "data/test_files.h"

namespace fathom::data {
namespace {

TEST(DatasetToml, ReadsEveryKey) {
  const auto toml = parse_dataset_toml(
      "# comment\ntask = \"text-classification\"\r\ntext_columns = [\"a\", # here too\n \"b\\\"c\",]\nlabel_column = "
      "\"y\"\n"
      "label_names = [\"no\", \"yes\"]\ntrain = \"x/train.csv\"\ntest = [\"one.bin\", \"two.bin\"]\n",
      "f");
  ASSERT_TRUE(toml.has_value()) << message_of(toml);
  EXPECT_EQ(toml->task, Task::text_classification);
  EXPECT_EQ(toml->text_columns, (std::vector<std::string>{"a", "b\"c"}));
  EXPECT_EQ(toml->label_column, "y");
  EXPECT_EQ(toml->label_names, (std::vector<std::string>{"no", "yes"}));
  EXPECT_EQ(toml->files[0], std::vector<std::string>{"x/train.csv"});
  EXPECT_EQ(toml->files[3].size(), 2u);
  EXPECT_FALSE(toml->header.has_value());
  EXPECT_EQ(parse_dataset_toml("header = false # none\n", "f")->header, false);
  EXPECT_EQ(parse_dataset_toml("header=true", "f")->header, true);
}

TEST(DatasetToml, NamesTheFault) {
  EXPECT_FAILS(parse_dataset_toml("\n\ncolour = \"red\"\n", "f"), Code::bad_input, "f line 3: unknown key 'colour'");
  EXPECT_FAILS(parse_dataset_toml("task = \"guess\"\n", "f"), Code::bad_input, "unknown task 'guess'");
  EXPECT_FAILS(parse_dataset_toml("train = \"../train.csv\"\n", "f"), Code::bad_input, "not a file inside");
  EXPECT_FAILS(parse_dataset_toml("train = \"/etc/x.csv\"\n", "f"), Code::bad_input, "not a file inside");
  EXPECT_FAILS(parse_dataset_toml("train = 3\n", "f"), Code::bad_input, "double quotes");
  EXPECT_FAILS(parse_dataset_toml("train = \"a\ntest = \"b\"\n", "f"), Code::bad_input, "never closed");
  EXPECT_FAILS(parse_dataset_toml("train = \"a\"\ntrain = \"b\"\n", "f"), Code::bad_input,
               "f line 2: key 'train' stands twice");
  EXPECT_FAILS(parse_dataset_toml("train = \"a\" x\n", "f"), Code::bad_input, "unexpected text");
  EXPECT_FAILS(parse_dataset_toml("[files]\n", "f"), Code::bad_input, "expected a key");
  EXPECT_FAILS(parse_dataset_toml("label_names = [\"a\", \"a\"]\n", "f"), Code::bad_input, "twice");
  EXPECT_FAILS(parse_dataset_toml("text_columns = []\n", "f"), Code::bad_input, "empty list");
  EXPECT_FAILS(parse_dataset_toml("text_columns = [\"a\" \"b\"]\n", "f"), Code::bad_input, "expected ','");
  EXPECT_FAILS(parse_dataset_toml("label_column = [\"a\"]\n", "f"), Code::bad_input, "must be one text");
  EXPECT_FAILS(parse_dataset_toml("header = \"yes\"\n", "f"), Code::bad_input, "'header' must be true or false");
  EXPECT_FAILS(parse_dataset_toml("label_column = true\n", "f"), Code::bad_input, "must be text in quotes");
  EXPECT_FAILS(parse_dataset_toml("header = truely\n", "f"), Code::bad_input, "unexpected text");
  EXPECT_FAILS(parse_dataset_toml("train = \"a\\q\"\n", "f"), Code::bad_input, "unknown escape");
}

}  // namespace
}  // namespace fathom::data
