#include "data/dataset.h"

#include <algorithm>
#include <set>

#include "data/idx.h"
#include "data/labels.h"
#include "data/split.h"
#include "data/test_files.h"

namespace fathom::data {
namespace {

constexpr auto kText = Task::text_classification;
constexpr auto kImage = Task::image_classification;

ReadOptions options_for(Task task) {
  ReadOptions options;
  options.task = task;
  return options;
}

std::string rows(int count, const std::string& mark = "row") {
  std::string csv;
  for (int i = 0; i < count; ++i) csv += mark + std::to_string(i) + " text," + (i % 2 ? "good" : "bad") + "\n";
  return csv;
}

bool noted(const Dataset& dataset, const std::string& part) {
  return std::any_of(dataset.notes.begin(), dataset.notes.end(), [&](const auto& note) { return holds(note, part); });
}

TEST(Dataset, CarvesDisjointSeededSplits) {
  const TestFolder folder;
  folder.put("train.csv", rows(80));
  folder.put("test.csv", rows(10, "test"));
  const auto dataset = read_dataset(folder.path(), options_for(kText));
  ASSERT_TRUE(dataset.has_value()) << message_of(dataset);
  EXPECT_EQ(dataset->part(Part::tune).size(), 10u);
  EXPECT_EQ(dataset->part(Part::calibrate).size(), 10u);
  EXPECT_EQ(dataset->part(Part::train).size(), 60u);
  EXPECT_EQ(dataset->part(Part::test).size(), 10u);
  EXPECT_EQ(dataset->label_names, (std::vector<std::string>{"bad", "good"}));
  std::set<std::string> all;
  for (const Part part : kAllParts) all.insert(dataset->part(part).texts.begin(), dataset->part(part).texts.end());
  EXPECT_EQ(all.size(), 90u);  // nothing lost, nothing twice
  EXPECT_EQ(read_dataset(folder.path(), options_for(kText))->fingerprint, dataset->fingerprint);
  ReadOptions other = options_for(kText);
  other.seed = 2;
  EXPECT_NE(read_dataset(folder.path(), other)->part(Part::tune).texts, dataset->part(Part::tune).texts);
  EXPECT_NE(read_dataset(folder.path(), other)->fingerprint, dataset->fingerprint);
  ReadOptions few = options_for(kText);
  few.max_train = 7;
  const auto small = read_dataset(folder.path(), few);
  EXPECT_EQ(small->part(Part::train).size(), 7u);
  EXPECT_EQ(small->part(Part::tune).texts, dataset->part(Part::tune).texts);
}

TEST(Dataset, PairsKeepTheirTwoTexts) {
  const TestFolder folder;
  std::string csv = "premise,hypothesis,label\n";
  for (int i = 0; i < 80; ++i)
    csv += "p" + std::to_string(i) + ",h" + std::to_string(i) + "," + (i % 2 ? "yes" : "no") + "\n";
  folder.put("train.csv", csv);
  folder.put("test.csv", "premise,hypothesis,label\np1,h1,yes\np1,h2,no\n");
  ReadOptions options = options_for(kText);
  const std::string joined = read_dataset(folder.path(), options)->fingerprint;
  options.pairs = true;
  const auto dataset = read_dataset(folder.path(), options);
  ASSERT_TRUE(dataset.has_value()) << message_of(dataset);
  EXPECT_NE(dataset->fingerprint, joined);
  for (const Part part : kAllParts) {
    const Split& split = dataset->part(part);
    ASSERT_EQ(split.second.size(), split.size());
    for (std::size_t i = 0; i < split.size() && part != Part::test; ++i)
      ASSERT_EQ(split.second[i].substr(1), split.texts[i].substr(1));
  }
  EXPECT_TRUE(noted(*dataset, "1 test rows have a text that also occurs"));
  options.text_columns = {"premise"};
  EXPECT_FAILS(read_dataset(folder.path(), options), Code::bad_input, "two text columns");
}

TEST(Dataset, ExactStemsDecide) {
  const TestFolder folder;
  folder.put("train.csv", rows(30));
  folder.put("train_lowercase.csv", rows(5, "other"));
  folder.put("valid.csv", rows(4, "valid"));
  folder.put("cal.csv", rows(6, "cal"));
  folder.put("test.csv", rows(8, "test"));
  const auto dataset = read_dataset(folder.path(), options_for(kText));
  ASSERT_TRUE(dataset.has_value()) << message_of(dataset);
  EXPECT_EQ(dataset->part(Part::train).size(), 30u);
  EXPECT_EQ(dataset->part(Part::tune).size(), 4u);
  EXPECT_EQ(dataset->part(Part::calibrate).size(), 6u);
  EXPECT_EQ(dataset->part(Part::test).size(), 8u);
  EXPECT_TRUE(noted(*dataset, "train_lowercase.csv: ignored"));
  EXPECT_TRUE(noted(*dataset, "valid.csv: is the tune split"));
}

TEST(Dataset, ALoneDevFileIsTheTestSplit) {
  const TestFolder folder;
  folder.put("train.csv", rows(30));
  folder.put("dev.csv", rows(4, "dev"));
  const auto dataset = read_dataset(folder.path(), options_for(kText));
  ASSERT_TRUE(dataset.has_value()) << message_of(dataset);
  EXPECT_EQ(dataset->part(Part::test).size(), 4u);
  EXPECT_TRUE(noted(*dataset, "dev.csv: is the test split"));
}

TEST(Dataset, WithoutTestOrTrainSaysWhatToDo) {
  const TestFolder folder;
  EXPECT_FAILS(read_dataset(folder.path() / "no", options_for(kText)), Code::io, "no such folder");
  EXPECT_FAILS(read_dataset(folder.path(), options_for(kText)), Code::bad_input,
               "no training data found for text-classification");
  EXPECT_FAILS(read_dataset(folder.path(), options_for(kImage)), Code::bad_input,
               "no training data found for image-classification");
  const auto train = folder.put("train.csv", rows(30));
  EXPECT_FAILS(read_dataset(train, options_for(kText)), Code::io, "not a folder");
  const auto texts =
      read_dataset(folder.put("texts.txt", "one\r\n\ntwo\nthree and more\n" + rows(20)), options_for(kText));
  ASSERT_TRUE(texts.has_value()) << texts.error().message;  // a file of texts has no labels and no test split
  EXPECT_TRUE(texts->label_names.empty());
  EXPECT_EQ(texts->part(Part::test).size(), 0u);
  EXPECT_GT(texts->part(Part::tune).size(), 0u);
  const auto no_test = read_dataset(folder.path(), options_for(kText));
  EXPECT_FAILS(no_test, Code::bad_input, "no test data found");
  EXPECT_TRUE(holds(no_test.error().hint, "add a test"));
  fs::create_directories(folder.path() / "train" / "a");
  EXPECT_FAILS(read_dataset(folder.path(), options_for(kImage)), Code::bad_input, "no training data found");
}

TEST(Dataset, ATestSplitAloneWillDoWhereAskedFor) {
  const TestFolder folder;
  folder.put("test.csv", rows(8, "test"));
  ReadOptions options = options_for(kText);
  EXPECT_FAILS(read_dataset(folder.path(), options), Code::bad_input, "no training data found");
  options.test_alone = true;
  const auto dataset = read_dataset(folder.path(), options);
  ASSERT_TRUE(dataset.has_value()) << message_of(dataset);
  EXPECT_EQ(dataset->part(Part::test).size(), 8u);
  EXPECT_EQ(dataset->part(Part::train).size() + dataset->part(Part::calibrate).size(), 0u);
  folder.put("cal.csv", rows(8, "cal"));
  EXPECT_FAILS(read_dataset(folder.path(), options), Code::bad_input, "a test split and others, but no train");
}

TEST(Dataset, TwoFilesForOneSplitAreRefused) {
  const TestFolder folder;
  folder.put("train.csv", rows(30));
  folder.put("train.csv.gz", gzipped(rows(30)));
  folder.put("test.csv", rows(5));
  EXPECT_FAILS(read_dataset(folder.path(), options_for(kText)), Code::bad_input, "both claim the same split");
  folder.put("dataset.toml", "train = \"train.csv\"\ntest = \"test.csv\"\n");
  EXPECT_TRUE(read_dataset(folder.path(), options_for(kText)).has_value());
}

TEST(Dataset, WrongFilesEndWithOneClearError) {
  const TestFolder folder;
  folder.put("train.csv", rows(30));
  const auto read_with_test = [&](std::string_view test) {
    folder.put("test.csv", test);
    return read_dataset(folder.path(), options_for(kText));
  };
  EXPECT_FAILS(read_with_test(""), Code::bad_input, "test.csv': the file is empty");
  EXPECT_FAILS(read_with_test("\n\n"), Code::bad_input, "holds no rows");
  EXPECT_FAILS(read_with_test("a,good\nb,strange\n"), Code::bad_input,
               "test.csv' line 2: label 'strange' does not occur in train ('bad', 'good')");
  EXPECT_FAILS(read_with_test("a,b,good\n"), Code::bad_input, "3 columns, but");
  EXPECT_FAILS(read_with_test(std::string_view("a\0,good\n", 8)), Code::bad_input, "NUL");
  folder.put("train.csv", "a,one\nb,one\nc,one\nd,one\n");
  folder.put("test.csv", "a,one\n");
  ReadOptions options = options_for(kText);
  options.label_column = "2";
  EXPECT_FAILS(read_dataset(folder.path(), options), Code::bad_input, "all rows have the same label");
  folder.put("train.csv", "a,one\nb,two\n");
  EXPECT_FAILS(read_dataset(folder.path(), options), Code::bad_input, "too few to carve");
  options.label_column = "grade";
  EXPECT_FAILS(read_dataset(folder.path(), options), Code::bad_input, "column 'grade' is missing");
  options.image_height = -1;
  EXPECT_FAILS(read_dataset(folder.path(), options), Code::usage, "image size -1");
  EXPECT_FAILS(parse_task("guessing"), Code::usage, "unknown task 'guessing'");
}

TEST(Dataset, MessagesNameWhatIsThere) {
  const TestFolder folder;
  const auto refused = [&](Code code, const std::string& part) {
    EXPECT_FAILS(read_dataset(folder.path(), options_for(kText)), code, part);
  };
  refused(Code::bad_input, "; the folder is empty");
  folder.put("train.json", "[]");
  refused(Code::bad_input, "train.json is there, but must be JSON lines, one object a line, named train.jsonl");
  folder.put("train.csv", "text,label\n" + rows(20) + "row,\n");
  folder.put("test.csv", "text\none text\ntwo texts\n");
  refused(Code::bad_input, "test.csv' has no label column ('label'): it cannot be a test split");
  folder.put("test.csv", "text,label\n" + rows(4));
  refused(Code::bad_input, "train.csv' line 22: an empty label");
  folder.put("train.csv", gzipped(rows(20)));
  refused(Code::bad_input, "train.csv' is gzip");
}

TEST(Dataset, NamesCountInAnyCase) {
  const TestFolder folder;
  folder.put("TRAIN.CSV", rows(30));
  folder.put("Test.Csv.GZ", gzipped(rows(8, "test")));
  const auto dataset = read_dataset(folder.path(), options_for(kText));
  ASSERT_TRUE(dataset.has_value()) << message_of(dataset);
  EXPECT_EQ(dataset->part(Part::test).size(), 8u);
}

TEST(Dataset, MembersThatAreNotUsedMayBeAnything) {
  const TestFolder folder;
  std::string lines = "{\"text\":\"a\",\"tags\":null,\"label\":\"x\",\"note\":\"n\"}\n";
  for (int i = 0; i < 10; ++i)
    lines += "{\"text\":\"b c\",\"tags\":[1],\"label\":\"" + std::string(i % 2 ? "x" : "y") + "\"}\n";
  folder.put("train.jsonl", lines);
  folder.put("test.jsonl", lines);
  const auto dataset = read_dataset(folder.path(), options_for(kText));
  ASSERT_TRUE(dataset.has_value()) << message_of(dataset);
  EXPECT_EQ(dataset->part(Part::test).texts[0], "a");
  folder.put("test.jsonl", "{\"text\":\"a\",\"note\":\"n\"}\n");
  EXPECT_FAILS(read_dataset(folder.path(), options_for(kText)), Code::bad_input, "test.jsonl' has no label column");
  folder.put("test.jsonl", "{\"text\":\"a\",\"label\":\"x\"}\n{\"text\":\"a\"}\n");
  EXPECT_FAILS(read_dataset(folder.path(), options_for(kText)), Code::bad_input, "line 2: 'label' is missing");
  folder.put("test.jsonl", "{\"text\":\"a\",\"label\":\"x\"}\n{\"text\":[2],\"label\":\"x\"}\n");
  EXPECT_FAILS(read_dataset(folder.path(), options_for(kText)), Code::bad_input, "line 2: 'text' is a list or object");
}

TEST(Dataset, TestColumnsAreMatchedByName) {
  const TestFolder folder;
  folder.put("train.csv", "text,label\na,x\nb,y\nc,x\nd,y\n");
  folder.put("test.csv", "label,text\ny,hello\n");
  const auto dataset = read_dataset(folder.path(), options_for(kText));
  ASSERT_TRUE(dataset.has_value()) << message_of(dataset);
  EXPECT_EQ(dataset->part(Part::test).texts, std::vector<std::string>{"hello"});
  folder.put("test.csv", "body,label\nhello,y\n");
  EXPECT_FAILS(read_dataset(folder.path(), options_for(kText)), Code::bad_input, "test.csv': column 'text' is missing");
}

TEST(Dataset, JoinsTextColumnsRepairsUtf8AndReadsComplexity) {
  const TestFolder folder;
  folder.put("train.csv", "title,body,label,complexity\nA,,x,1\nB,b,y,2\nC,c,x,3\nD,d,y,4\n");
  folder.put("test.csv",
             "title,body,label,complexity\n,bo\xFF"
             "dy,y,12\n");
  const auto dataset = read_dataset(folder.path(), options_for(kText));
  ASSERT_TRUE(dataset.has_value()) << message_of(dataset);
  EXPECT_EQ(dataset->part(Part::test).texts, std::vector<std::string>{"bo\uFFFD"
                                                                      "dy"});
  EXPECT_EQ(dataset->part(Part::test).complexity, std::vector<std::int32_t>{12});
  EXPECT_EQ(dataset->part(Part::train).complexity.size(), 2u);
  folder.put("test.csv", "title,body,label,complexity\na,b,y,deep\n");
  EXPECT_FAILS(read_dataset(folder.path(), options_for(kText)), Code::bad_input, "line 2: complexity 'deep'");
}

TEST(Dataset, ADescriptionOverridesTheRules) {
  const TestFolder folder;
  folder.put("mine.jsonl",
             "{\"a\":\"t1\",\"b\":1}\n{\"a\":\"t2\",\"b\":0}\n{\"a\":\"t3\",\"b\":1}\n{\"a\":\"t4\",\"b\":0}\n");
  folder.put("theirs.jsonl", "{\"b\":0,\"a\":\"t9\"}\n");
  folder.put("dataset.toml",
             "task = \"text-classification\"\ntrain = \"mine.jsonl\"\ntest = \"theirs.jsonl\"\n"
             "text_columns = [\"a\"]\nlabel_column = \"b\"\nlabel_names = [\"no\", \"yes\"]\n");
  const auto dataset = read_dataset(folder.path(), options_for(kText));
  ASSERT_TRUE(dataset.has_value()) << message_of(dataset);
  EXPECT_EQ(dataset->label_names, (std::vector<std::string>{"no", "yes"}));
  EXPECT_EQ(dataset->part(Part::test).labels, std::vector<std::int32_t>{0});
  EXPECT_FAILS(read_dataset(folder.path(), options_for(kImage)), Code::bad_input, "says task text-classification");
  folder.put("dataset.toml", "train = \"gone.csv\"\n");
  EXPECT_FAILS(read_dataset(folder.path(), options_for(kText)), Code::bad_input,
               "gone.csv': named in dataset.toml but missing");
}

TEST(Dataset, ReadsIdxByNameAndChecksSizes) {
  const TestFolder folder;
  const auto put = [&](const std::string& stem, std::size_t n, std::size_t side, const std::string& labels) {
    folder.put(stem + "-images-idx3-ubyte.gz", gzipped(idx_bytes({n, side, side}, std::string(n * side * side, 'x'))));
    folder.put(stem + "-labels-idx1-ubyte.gz", gzipped(idx_bytes({labels.size()}, labels)));
  };
  put("train", 8, 4, std::string("\0\1\2\0\1\2\0\1", 8));
  put("t10k", 2, 4, std::string("\2\1", 2));
  const auto dataset = read_dataset(folder.path(), options_for(kImage));
  ASSERT_TRUE(dataset.has_value()) << message_of(dataset);
  EXPECT_EQ(dataset->label_names, (std::vector<std::string>{"0", "1", "2"}));
  EXPECT_EQ(dataset->part(Part::test).labels, (std::vector<std::int32_t>{2, 1}));
  put("t10k", 2, 5, std::string("\2\1", 2));
  EXPECT_FAILS(read_dataset(folder.path(), options_for(kImage)), Code::bad_input, "pictures of 5x5, but train has 4x4");
  put("t10k", 2, 4, std::string("\2\3", 2));
  EXPECT_FAILS(read_dataset(folder.path(), options_for(kImage)), Code::bad_input,
               "record 2: label '3' does not occur in train");
  put("t10k", 2, 4, std::string("\2\1\1", 3));
  EXPECT_FAILS(read_dataset(folder.path(), options_for(kImage)), Code::bad_input, "3 labels, but");
  fs::remove(folder.path() / "t10k-labels-idx1-ubyte.gz");
  EXPECT_FAILS(read_dataset(folder.path(), options_for(kImage)), Code::bad_input, "its labels file is missing");
}

TEST(Labels, FollowNamesNumbersOrBytes) {
  const auto order = [](const std::vector<std::string>& values, const std::vector<std::string>& names = {}) {
    return LabelMap::make(values, names, "f");
  };
  EXPECT_EQ(order({"10", "9", "-1"})->names(), (std::vector<std::string>{"-1", "9", "10"}));
  EXPECT_EQ(order({"b", "10", "a"})->names(), (std::vector<std::string>{"10", "a", "b"}));
  EXPECT_EQ(order({"1", "2", "3"}, {"x", "y", "z"})->find("3"), 2);
  EXPECT_EQ(order({"0", "2", "1"}, {"x", "y", "z"})->find("2"), 2);
  EXPECT_EQ(order({"0", "1"}, {"x", "y", "z"})->names().size(), 3u);
  EXPECT_EQ(order({"y", "x"}, {"y", "x"})->find("y"), 0);
  EXPECT_EQ(order({"01", "2"})->find(" 1"), 0);
  EXPECT_EQ(order({"1", "2"})->find("7"), -1);
  EXPECT_FAILS(order({"0", "3"}, {"x", "y", "z"}), Code::bad_input, "label '3' is missing from the class names");
  EXPECT_FAILS(order({"x", "w"}, {"x", "y"}), Code::bad_input, "label 'w' is missing from the class names ('x', 'y')");
  EXPECT_FAILS(order({"pos", "neg"}, {"neg", "positive"}), Code::bad_input, "label 'pos' is missing");
  EXPECT_FAILS(order({"1", "01"}, {"x", "y"}), Code::bad_input, "labels '1' and '01' differ by zeros alone");
  EXPECT_EQ(order({"01", "1", "001", "2"})->names(), (std::vector<std::string>{"1", "01", "001", "2"}));
  EXPECT_EQ(order({"01", "1"})->find(" 01"), 1);
  EXPECT_FAILS(order({"a", ""}), Code::bad_input, "empty label");
  EXPECT_FAILS(parse_class_names("a\nb\na\n", "f"), Code::bad_input, "'a' stands twice");
  EXPECT_EQ(parse_class_names("\xEF\xBB\xBFpos\nneg\n", "f").value(), (std::vector<std::string>{"pos", "neg"}));
  EXPECT_FAILS(parse_class_names("\n", "f"), Code::bad_input, "fewer than two");
}

// Row and class counts as their README states them; the files are read by the general rules alone.
class RealData : public ::testing::Test {
 protected:
  void SetUp() override {
    if (real_data().empty()) GTEST_SKIP() << "no FATHOM_DATA";
  }
  static void expect(const char* name, Task task, std::size_t train, std::size_t test, std::size_t classes) {
    if (!fs::is_directory(real_data() / name)) GTEST_SKIP() << name << " is absent";
    const auto dataset = read_dataset(real_data() / name, options_for(task));
    ASSERT_TRUE(dataset.has_value()) << message_of(dataset);
    EXPECT_EQ(
        dataset->part(Part::train).size() + dataset->part(Part::tune).size() + dataset->part(Part::calibrate).size(),
        train);
    EXPECT_EQ(dataset->part(Part::test).size(), test);
    EXPECT_EQ(dataset->label_names.size(), classes);
  }
};

TEST_F(RealData, NewsTopics) {
  expect("ag_news", kText, 11600, 3800, 4);
  const auto dataset = read_dataset(real_data() / "ag_news", options_for(kText));
  ASSERT_TRUE(dataset.has_value());
  EXPECT_EQ(dataset->label_names.back(), "Sci/Tech");
  EXPECT_EQ(dataset->part(Part::test).labels[0], 2);  // "3", counted from 1
  EXPECT_TRUE(dataset->part(Part::test).texts[0].starts_with("Fears for T N pension after talks Unions representing"));
  EXPECT_TRUE(noted(*dataset, "train_lowercase.tsv: ignored"));
}
TEST_F(RealData, Sentiment) { expect("sst2", kText, 6920, 872, 2); }
TEST_F(RealData, GreyPictures) { expect("fashion_mnist", kImage, 30000, 5000, 10); }
TEST_F(RealData, ColourPictures) { expect("cifar10", kImage, 12000, 3000, 10); }

}  // namespace
}  // namespace fathom::data
