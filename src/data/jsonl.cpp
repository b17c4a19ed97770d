// JSON lines: one object a line. Members that are lists or objects are not columns. Each line is read as events, so
// time and memory grow with its length, however many members it has.
#include <unordered_map>
#include <unordered_set>

#include "base/json.h"
#include "data/json_events.h"
#include "data/plain_text.h"
#include "data/table.h"

namespace fathom::data {
namespace {

constexpr std::size_t kMaxMembers = 1024, kMaxDepth = 64;

// The plain members of one object: into a row's columns by name, or, without columns, as a list of names.
class Members : public JsonHandler {
 public:
  using Index = std::unordered_map<std::string_view, std::size_t>;
  Members(const Index* columns, Row& row) : columns_(columns), row_(row) {}

  bool null() override { return put("", Cell::null); }
  bool boolean(bool flag) override { return put(flag ? "true" : "false"); }
  bool integer(std::int64_t number) override { return put(std::to_string(number)); }
  bool natural(std::uint64_t number) override { return put(std::to_string(number)); }
  bool real(double number) override { return put(Json(number).dump()); }
  bool text(std::string_view value) override { return put(value); }
  bool key(std::string_view name) override {
    if (depth_ != 1) return true;
    if (!seen_.emplace(name).second) return refuse("key '" + std::string(name.substr(0, 80)) + "' stands twice");
    name_ = name;
    return true;
  }
  bool open_object() override { return open(); }
  bool open_list() override { return open(); }
  bool close() override {
    --depth_;
    return true;
  }

  const std::string& refused() const { return refused_; }
  std::vector<std::string>& names() { return names_; }

 private:
  bool refuse(std::string why) {
    refused_ = std::move(why);
    return false;
  }
  bool open() {
    if (++depth_ > kMaxDepth) return refuse("nested deeper than 64");
    return depth_ != 2 || put("", Cell::nested);
  }
  bool put(std::string_view value, Cell cell = Cell::text) {
    if (depth_ != (cell == Cell::nested ? 2u : 1u)) return true;
    if (columns_ == nullptr) {
      if (cell != Cell::nested) names_.push_back(name_);
      return names_.size() <= kMaxMembers || refuse("more than 1024 members");
    }
    const auto found = columns_->find(name_);
    if (found == columns_->end()) return true;
    row_.fields[found->second] = value;
    row_.cells[found->second] = cell;
    return true;
  }

  const Index* columns_;
  Row& row_;
  std::unordered_set<std::string> seen_;
  std::vector<std::string> names_;
  std::string name_, refused_;
  std::size_t depth_ = 0;
};

Status read_object(std::string_view line, const std::string& here, Members& members) {
  const auto fault = read_json_events(line, members);
  if (!members.refused().empty()) return Error{Code::bad_input, here + ": JSON " + members.refused(), ""};
  if (fault)
    return Error{Code::bad_input, here + ": not valid JSON at byte " + std::to_string(*fault + 1) + " of the line",
                 "write one {...} a line"};
  if (line.find('{') != line.find_first_not_of(" \t\r"))
    return Error{Code::bad_input, here + ": expected a JSON object", "write one {...} a line"};
  return {};
}

// Calls each(line, number) for every line that is not blank.
template <class Each>
Status lines_of(const Table& table, Each each) {
  std::string_view text = table.text;
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  for (std::uint64_t number = 1; !text.empty(); ++number) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    FATHOM_TRY(const bool go_on, each(line, number));
    if (!go_on) break;
  }
  return {};
}

std::string at(const Table& table, std::uint64_t number) { return table.where + " line " + std::to_string(number); }

}  // namespace

Result<std::vector<std::string>> first_members(const Table& table) {
  std::vector<std::string> names;
  const auto take = [&](std::string_view line, std::uint64_t number) -> Result<bool> {
    Row none;
    Members members(nullptr, none);
    FATHOM_TRY_VOID(read_object(line, at(table, number), members));
    names = std::move(members.names());
    if (names.empty()) return Error{Code::bad_input, at(table, number) + ": no member holds text or a number", ""};
    return false;
  };
  FATHOM_TRY_VOID(lines_of(table, take));
  return names;
}

Status visit_objects(const Table& table, const std::function<Status(Row&)>& each) {
  Members::Index columns;
  for (std::size_t c = 0; c < table.header.size(); ++c) columns.emplace(table.header[c], c);
  Row row;
  row.fields.resize(table.header.size());
  return lines_of(table, [&](std::string_view line, std::uint64_t number) -> Result<bool> {
    for (std::string& field : row.fields) field.clear();
    row.cells.assign(table.header.size(), Cell::absent);
    row.line = number;
    Members members(&columns, row);
    FATHOM_TRY_VOID(read_object(line, at(table, number), members));
    FATHOM_TRY_VOID(each(row));
    return true;
  });
}

}  // namespace fathom::data
