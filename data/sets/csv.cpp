#include "data/sets/csv.h"

#include <algorithm>

#include "core/base/error.h"
#include "data/sets/text_list.h"

namespace mpanet {
namespace {

class CsvReader {
 public:
  CsvReader(const std::string& path, std::string_view text) : path_(path), text_(text) {}

  void read(const std::function<void(CsvRow row)>& take_row) {
    while (at_ < text_.size()) {
      CsvRow row{line_, {}};
      do row.fields.push_back(field());
      while (take(','));
      end_line();
      while (!row.fields.empty() && row.fields.back().empty()) row.fields.pop_back();
      if (!row.fields.empty()) take_row(std::move(row));
    }
  }

 private:
  bool take(char wanted) {
    if (at_ >= text_.size() || text_[at_] != wanted) return false;
    at_++;
    return true;
  }
  void skip_spaces() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t')) at_++;
  }
  void end_line() {
    if (at_ >= text_.size()) return;
    if (!take('\n')) {
      take('\r');
      take('\n');
    }
    line_++;
  }

  // Reads one field, up to the next comma or line end.
  std::string field() {
    skip_spaces();
    if (take('"')) return quoted();
    const size_t begin = at_;
    while (at_ < text_.size() && text_[at_] != ',' && text_[at_] != '\n' && !line_ends_with_return()) at_++;
    return std::string(trimmed(text_.substr(begin, at_ - begin)));
  }
  bool line_ends_with_return() const {
    return text_[at_] == '\r' && (at_ + 1 == text_.size() || text_[at_ + 1] == '\n');
  }

  std::string quoted() {
    const size_t opened = line_;
    std::string value;
    for (;; at_++) {
      if (at_ >= text_.size()) fail("{}: the quote that opens here is never closed", at_line(path_, opened));
      if (text_[at_] == '"') {
        at_++;
        if (at_ >= text_.size() || text_[at_] != '"') break;
      }
      if (text_[at_] == '\n') line_++;
      value += text_[at_];
    }
    skip_spaces();
    if (at_ < text_.size() && text_[at_] != ',' && text_[at_] != '\n' && !line_ends_with_return())
      fail("{}: expected a comma after the closing quote of {}", at_line(path_, line_), quote(value));
    return value;
  }

  const std::string& path_;
  std::string_view text_;
  size_t at_ = 0, line_ = 1;
};

}  // namespace

void read_csv(const std::string& path, const std::function<void(CsvRow row)>& take) {
  const std::string text = read_list_text(path);
  CsvReader(path, text).read(take);
}

std::vector<CsvRow> read_csv(const std::string& path) {
  std::vector<CsvRow> rows;
  read_csv(path, [&](CsvRow row) { rows.push_back(std::move(row)); });
  return rows;
}

std::string csv_field(std::string_view text) {
  if (!text.empty() && text.find_first_of(",\"\r\n") == text.npos && trimmed(text).size() == text.size())
    return std::string(text);
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  return quoted + '"';
}

}  // namespace mpanet
