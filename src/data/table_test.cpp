#include "data/table.h"

#include "base/random.h"
#include "data/columns.h"
#include "data/gzip.h"
#include "data/labels.h"
#include "data/line_reader.h"
#include "data/test_files.h"
#include "data/text_lines.h"

namespace fathom::data {
namespace {

using Fields = std::vector<std::string>;

std::vector<Row> all_rows(const Table& table) {
  std::vector<Row> rows;
  EXPECT_TRUE(table
                  .visit([&](Row& row) -> Status {
                    rows.push_back(row);
                    return {};
                  })
                  .has_value());
  return rows;
}

std::vector<Row> all_rows(const Result<Table>& table) { return table ? all_rows(*table) : std::vector<Row>(); }

TEST(Csv, ReadsQuotesLineBreaksAndDelimitersInFields) {
  const auto table = parse_csv("\"a, b\",\"say \"\"hi\"\"\"\r\n\"two\r\nlines\",x\n", "f");
  ASSERT_TRUE(table.has_value()) << message_of(table);
  const auto rows = all_rows(table);
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].fields, (Fields{"a, b", "say \"hi\""}));
  EXPECT_EQ(rows[1].fields, (Fields{"two\nlines", "x"}));
  EXPECT_EQ(rows[1].line, 2u);
}

TEST(Csv, DropsByteOrderMarkAndBlankLinesAndNeedsNoLastLineEnd) {
  const auto table = parse_csv(
      "\xEF\xBB\xBF"
      "a,b\n\n\r\nc,",
      "f");
  ASSERT_TRUE(table.has_value());
  const auto rows = all_rows(table);
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].fields, (Fields{"a", "b"}));
  EXPECT_EQ(rows[1].fields, (Fields{"c", ""}));
  EXPECT_EQ(rows[1].line, 4u);
}

TEST(Csv, KeepsAQuoteInsideAnUnquotedField) {
  EXPECT_EQ(all_rows(parse_csv("5\" disk,1\n", "f"))[0].fields, (Fields{"5\" disk", "1"}));
}

TEST(Csv, NamesTheLineOfEveryFault) {
  EXPECT_FAILS(parse_csv("a,b\n\"x\ny\",1\nc\n", "f"), Code::bad_input, "f line 4: 1 columns, but the first row has 2");
  EXPECT_FAILS(parse_csv("a,b\n\"open,1\n", "f"), Code::bad_input, "f line 2: a quoted field is never closed");
  EXPECT_FAILS(parse_csv("\"a\"b,1\n", "f"), Code::bad_input, "f line 1: text follows a closing quote");
  EXPECT_FAILS(parse_csv(std::string("a,b\nc\0d,1\n", 10), "f"), Code::bad_input, "f line 2: holds a NUL byte");
  EXPECT_FAILS(parse_csv(std::string("\xFF\xFE"
                                     "a\0",
                                     4),
                         "f"),
               Code::bad_input, "UTF-16");
}

TEST(Tsv, TakesQuotesAsCharactersWhenTheyAreNotMeant) {
  const auto table = parse_tsv("\" he said\t1\nshe \"did\"\t0\n\" no end\t1\n", "f");
  ASSERT_TRUE(table.has_value());
  const auto rows = all_rows(table);
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[0].fields, (Fields{"\" he said", "1"}));
}

TEST(Tsv, ReadsQuotedFieldsWhenTheyAreMeant) {
  const auto all_quoted = parse_tsv("\"one\"\t1\n\"two\"\t0\n", "f");
  EXPECT_EQ(all_rows(all_quoted)[1].fields, (Fields{"two", "0"}));
  const auto broken_lines = parse_tsv("plain\t1\n\"two\nlines\"\t0\n", "f");
  ASSERT_TRUE(broken_lines.has_value()) << message_of(broken_lines);
  EXPECT_EQ(all_rows(broken_lines)[1].fields, (Fields{"two\nlines", "0"}));
}

TEST(Jsonl, ReadsPlainMembersAsColumns) {
  const auto table = parse_jsonl(
      "{\"text\":\"caf\\u00e9\",\"label\":1,\"tags\":[{\"text\":2}]}\n\n{\"label\":2,\"text\":null,\"more\":0}\r\n",
      "f");
  ASSERT_TRUE(table.has_value()) << message_of(table);
  EXPECT_EQ(table->header, (Fields{"text", "label"}));
  const auto rows = all_rows(table);
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].fields, (Fields{"café", "1"}));
  EXPECT_EQ(rows[1].fields, (Fields{"", "2"}));
  EXPECT_EQ(rows[1].cells, (std::vector{Cell::null, Cell::text}));
  EXPECT_EQ(rows[1].line, 3u);
}

TEST(Jsonl, NumbersAndTruthAreWrittenAsJsonHasThem) {
  const auto rows = all_rows(parse_jsonl("{\"a\":1.50,\"b\":true,\"c\":-7,\"d\":1e2}\n", "f"));
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].fields, (Fields{"1.5", "true", "-7", "100.0"}));
}

TEST(Jsonl, WhatALaterLineLacksIsSaidOfItsCell) {
  const auto rows = all_rows(parse_jsonl("{\"a\":1,\"b\":null}\n{\"b\":[1]}\n{\"a\":{\"a\":3}}\n", "f"));
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[1].cells, (std::vector{Cell::absent, Cell::nested}));
  EXPECT_EQ(rows[2].cells, (std::vector{Cell::nested, Cell::absent}));
}

TEST(Jsonl, NamesTheLineOfEveryFault) {
  EXPECT_FAILS(parse_jsonl("{\"a\":1}\n{\"a\":1\n", "f"), Code::bad_input, "f line 2");
  EXPECT_FAILS(parse_jsonl("[1]\n", "f"), Code::bad_input, "expected a JSON object");
  EXPECT_FAILS(parse_jsonl("{\"a\":1,\"a\":2}\n", "f"), Code::bad_input, "f line 1: JSON key 'a' stands twice");
  EXPECT_FAILS(parse_jsonl("{\"a\":[]}\n", "f"), Code::bad_input, "no member holds text or a number");
  EXPECT_FAILS(parse_jsonl("{\"a\":" + std::string(70, '[') + std::string(70, ']') + "}\n", "f"), Code::bad_input,
               "nested deeper than 64");
  EXPECT_FAILS(parse_jsonl(std::string(100000, '['), "f"), Code::bad_input, "f line 1");
}

Table csv(const std::string& text) {
  auto table = parse_csv(text, "f");
  EXPECT_TRUE(table.has_value());
  return std::move(table).value();
}

bool header_found(const std::string& text, const std::vector<std::string>& wanted = {}) {
  Table table = csv(text);
  EXPECT_TRUE(find_header(table, wanted).has_value());
  return !table.header.empty();
}

std::string repeated(const std::string& rows, int times) {
  std::string all;
  for (int i = 0; i < times; ++i) all += rows;
  return all;
}

TEST(Header, IsFoundByKnownNamesByGivenNamesAndOverNumbers) {
  EXPECT_TRUE(header_found("text,label\nhello,a\nthere,b\n"));
  EXPECT_TRUE(header_found("Sentence , Label \nhello,a\n"));
  EXPECT_TRUE(header_found("comment,spam?\nhello,1\nthere,0\n"));
  EXPECT_TRUE(header_found("was,wie\nhello,a\nthere,b\n", {"wie"}));
  EXPECT_TRUE(header_found(",was,wie\n0,hello,a\n1,there,b\n"));  // row numbers under no name
  EXPECT_TRUE(header_found("was,wie\nhello,0.5\nthere,1.5\n"));
}

TEST(Header, IsFoundWhereItsLabelNeverComesBack) {
  EXPECT_TRUE(header_found("text,mood\n" + repeated("fine weather,pos\nrain again,neg\n", 3)));
  EXPECT_TRUE(header_found("v1,v2\n" + repeated("pos,fine weather\nneg,rain again\n", 3)));
  EXPECT_TRUE(header_found("stimmung,Satz\n" + repeated("gut,es ist schön\nschlecht,es regnet\n", 20)));
}

TEST(Header, IsNotFoundInPlainRows) {
  EXPECT_FALSE(header_found("\"3\",\"Fears\",\"Unions\"\n\"4\",\"Race\",\"Space\"\n"));
  EXPECT_FALSE(header_found("a film,1\nanother,0\n"));
  EXPECT_FALSE(header_found("hello,topic\nthere,topic\n"));  // the word returns below: a value
  EXPECT_FALSE(header_found("hello,yes\nthere,no\n"));
  // A class of one row, which is the first.
  EXPECT_FALSE(header_found("what a long and sunny day,rare\n" + repeated("fine weather,pos\nrain again,neg\n", 20)));
}

TEST(Header, IsAskedForWhereTheRowsDoNotTell) {
  const std::string rows = "wet,dry\n" + repeated("sun,pos\nrain,neg\n", 20);
  Table table = csv(rows);
  const auto unclear = find_header(table, {});
  EXPECT_FAILS(unclear, Code::bad_input, "the first row may be a header or data ('wet', 'dry')");
  EXPECT_TRUE(holds(unclear.error().hint, "--header or --no-header")) << unclear.error().hint;
  for (const bool told : {true, false}) {
    Table again = csv(rows);
    ASSERT_TRUE(find_header(again, {}, told).has_value());
    EXPECT_EQ(again.header.empty(), !told);
    EXPECT_EQ(all_rows(again).size(), told ? 40u : 41u);
  }
}

TEST(Header, OfAnotherSplitIsLikeTrains) {
  Table train = csv("text,mood\n" + repeated("fine weather,pos\nrain again,neg\n", 3));
  ASSERT_TRUE(find_header(train, {}).has_value());
  Table test = csv("Text,Mood\nrain,neg\n");
  ASSERT_TRUE(find_header_as(test, train, {}, std::nullopt).has_value());
  EXPECT_EQ(test.rows, 1u);
  Table bare = csv("rain,neg\nsun,pos\n");
  ASSERT_TRUE(find_header_as(bare, train, {}, std::nullopt).has_value());
  EXPECT_EQ(bare.rows, 2u);
}

TEST(Columns, AreFoundByRule) {
  Table table = csv("id,title,body,class,complexity\n1,t,b,x,3\n2,u,c,y,4\n3,v,d,x,5\n");
  ASSERT_TRUE(find_header(table, {}).has_value());
  const auto columns = choose_columns(table, {}, "");
  ASSERT_TRUE(columns.has_value()) << message_of(columns);
  EXPECT_EQ(columns->text, (std::vector<std::size_t>{1, 2}));
  EXPECT_EQ(columns->label, 3u);
  EXPECT_EQ(columns->complexity, 4u);
}

TEST(Columns, WithoutHeaderTheFewestValuesAreTheLabel) {
  Table table = csv("1,aa,first\n2,,second\n1,bb,third\n2,cc,fourth\n1,dd,fifth\n");
  const auto columns = choose_columns(table, {}, "");
  ASSERT_TRUE(columns.has_value()) << message_of(columns);
  EXPECT_EQ(columns->label, 0u);
  EXPECT_EQ(columns->text, (std::vector<std::size_t>{1, 2}));
}

TEST(Columns, MissingDoubledAndUndecidableOnesAreRefused) {
  Table table = csv("text,label\na,1\nb,2\n");
  ASSERT_TRUE(find_header(table, {}).has_value());
  EXPECT_FAILS(choose_columns(table, {"body"}, ""), Code::bad_input,
               "column 'body' is missing; the file has columns 'text', 'label'");
  EXPECT_FAILS(choose_columns(table, {}, "3"), Code::bad_input, "column '3' is missing");
  EXPECT_FAILS(choose_columns(table, {"label"}, ""), Code::bad_input, "used twice");
  EXPECT_FAILS(choose_columns(table, {"text", "1"}, ""), Code::bad_input, "used twice");
  Table doubled = csv("text,label,label\na,1,2\n");
  EXPECT_FAILS(find_header(doubled, {}), Code::bad_input, "column 'label' stands twice, as columns 2 and 3");
  EXPECT_FAILS(choose_columns(csv("a\nb\nc\nd\n"), {}, ""), Code::bad_input, "no column looks like labels");
  EXPECT_FAILS(choose_columns(csv("1,5\n2,6\n1,7\n2,8\n"), {}, ""), Code::bad_input, "no text column");
  Table bare = csv("text,label\n");
  EXPECT_FAILS(find_header(bare, {"label"}), Code::bad_input, "a header and no rows");
}

TEST(Columns, SeveralThatLookLikeLabelsAreAskedFor) {
  const auto two = choose_columns(csv(repeated("good,x,one\ngood,y,two\nbad,x,three\nbad,z,four\n", 9)), {}, "");
  EXPECT_FAILS(two, Code::bad_input, "several columns look like labels: column 1 (2 values), column 2 (3 values)");
  EXPECT_TRUE(holds(two.error().hint, "--label-column"));
}

TEST(Columns, OtherSeparatorsAreNamed) {
  Table table = csv("text;label\n" + repeated("a b c;pos\nd e f;neg\n", 5));
  ASSERT_TRUE(find_header(table, {}).has_value());
  EXPECT_FAILS(choose_columns(table, {}, ""), Code::bad_input, "fields seem to be separated by ';'");
  EXPECT_FAILS(parse_csv("text;label\na, b;pos\nc;neg\nd;neg\n", "f"), Code::bad_input,
               "2 columns, but the first row has 1; fields seem to be separated by ';'");
  EXPECT_FAILS(choose_columns(csv(repeated("a\tpos\nb\tneg\n", 5)), {}, ""), Code::bad_input, "separated by tabs");
}

TEST(PlainText, WhatIsNoTextIsNamed) {
  for (const auto& [bytes, what] : {std::pair<std::string, const char*>{gzipped("a,b\n"), "is gzip"},
                                    {"PK\x03\x04rest", "zip archive or a spreadsheet"},
                                    {std::string("\xFF\xFE"
                                                 "a\0",
                                                 4),
                                     "is UTF-16"},
                                    {std::string("\xFE\xFF\0a", 4), "is UTF-16"},
                                    {std::string("a,1\nb,2\nc\0d,3\n", 13), " line 3: holds a NUL byte"}}) {
    EXPECT_FAILS(parse_csv(bytes, "f"), Code::bad_input, what);
    EXPECT_FAILS(parse_jsonl(bytes, "f"), Code::bad_input, what);
    EXPECT_FAILS(parse_class_names(bytes, "f"), Code::bad_input, what);
    const TestFolder folder;
    EXPECT_FAILS(read_text_lines(folder.put("f", bytes)), Code::bad_input, what);
  }
}

TEST(TextLines, AreReadAsTheyComeAndLimited) {
  const TestFolder folder;
  const std::string full(kMaxLineBytes, 'x');
  const auto lines = read_text_lines(folder.put("f", "\xEF\xBB\xBFone\r\n\n" + full + "\r\ntwo"));
  ASSERT_TRUE(lines.has_value()) << message_of(lines);
  EXPECT_EQ(*lines, (Fields{"one", full, "two"}));
  EXPECT_FAILS(read_text_lines(folder.put("f", "a\n" + full + "y\n")), Code::limit, "line 2: more than 1048576 bytes");
  EXPECT_FAILS(read_text_lines(folder.put("f", "\xEF\xBB\xBF\n")), Code::bad_input, "holds no text");
  EXPECT_FAILS(read_text_lines(folder.path()), Code::io, "not a regular file");
}

TEST(Gzip, ABombIsRefusedByItsGrowth) {
  const std::string packed = gzipped(std::string(40u << 20, '\0'));
  EXPECT_FAILS(unpack_gzip(packed, "f"), Code::limit, "unpacks to more than 33554432 bytes");
}

TEST(Gzip, ReadsMembersAndRefusesDamage) {
  const std::string text(100000, 'x');
  const std::string packed = gzipped(text);
  EXPECT_EQ(unpack_gzip(packed, "f").value(), text);
  EXPECT_EQ(unpack_gzip(packed + gzipped("end"), "f").value(), text + "end");
  EXPECT_FAILS(unpack_gzip(std::string_view(packed).substr(0, packed.size() - 5), "f"), Code::bad_input,
               "gzip ends early");
  EXPECT_FAILS(unpack_gzip(std::string_view(packed).substr(0, 3), "f"), Code::bad_input, "gzip ends early");
  EXPECT_FAILS(unpack_gzip("plain text", "f"), Code::bad_input, "not valid gzip");
  EXPECT_FAILS(unpack_gzip(packed + "tail", "f"), Code::bad_input, "not valid gzip");
  EXPECT_FAILS(unpack_gzip(packed, "f", 99999), Code::limit, "unpacks to more than 99999 bytes");
  std::string flipped = packed;
  flipped[flipped.size() - 6] = static_cast<char>(flipped[flipped.size() - 6] ^ 1);
  EXPECT_FAILS(unpack_gzip(flipped, "f"), Code::bad_input, "not valid gzip");
}

TEST(Readers, SurviveAnyBytes) {
  Random random(1, "bytes");
  const std::string alphabet = std::string("a1,\"\t\n\r{}[]:\\#=", 16) + std::string("\0\xFF\xC3", 3);
  int errors = 0;
  for (int round = 0; round < 3000; ++round) {
    std::string text;
    for (std::size_t i = random.below(60); i > 0; --i) text += alphabet[random.below(alphabet.size())];
    errors += !parse_csv(text, "f").has_value();
    errors += !parse_tsv(text, "f").has_value();
    errors += !parse_jsonl(text, "f").has_value();
  }
  EXPECT_GT(errors, 0);
}

}  // namespace
}  // namespace fathom::data
