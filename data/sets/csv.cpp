#include "data/sets/csv.h"

#include <algorithm>

#include "core/base/error.h"
#include "data/sets/text_list.h"

namespace mpanet {
namespace {

class CsvReader {
 public:
  CsvReader(const std::string& path, std::string_view text) : path_(path), text_(text) {}

  std::vector<CsvRow> read() {
    std::vector<CsvRow> rows;
    while (at_ < text_.size()) {
      CsvRow row{line_, {}};
      do row.fields.push_back(field());
      while (take(','));
      end_line();
      while (!row.fields.empty() && row.fields.back().empty()) row.fields.pop_back();
      if (!row.fields.empty()) rows.push_back(std::move(row));
    }
    return rows;
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

std::vector<CsvRow> read_csv(const std::string& path) {
  const std::string text = read_list_text(path);
  return CsvReader(path, text).read();
}

std::vector<std::string> csv_fields(std::string_view line, const std::string& where) {
  std::vector<std::string> fields;
  for (bool more = true; more;) {
    const std::string_view spaces = line.substr(0, std::min(line.find_first_not_of(" \t"), line.size()));
    std::string_view rest = line.substr(spaces.size());
    std::string value;
    if (rest.starts_with('"')) {
      for (rest.remove_prefix(1);; rest.remove_prefix(1)) {
        if (rest.empty()) fail("{}: a quote is never closed: {}", where, quote(line));
        if (rest.front() == '"') {
          rest.remove_prefix(1);
          if (!rest.starts_with('"')) break;
        }
        value += rest.front();
      }
      if (const size_t comma = std::min(rest.find(','), rest.size()); !trimmed(rest.substr(0, comma)).empty())
        fail("{}: expected a comma after the closing quote of {}", where, quote(value));
    } else {
      value = trimmed(rest.substr(0, rest.find(',')));
    }
    fields.push_back(std::move(value));
    const size_t comma = rest.find(',');
    more = comma != rest.npos;
    if (more) line = rest.substr(comma + 1);
  }
  return fields;
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
