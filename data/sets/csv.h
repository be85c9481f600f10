// Comma-separated values (RFC 4180, and as spreadsheets write them). Fields in double quotes may contain commas,
// doubled quotes and line ends. Lines end with LF or CR LF. A byte order mark, blank lines and empty fields at a line's
// end are ignored.
#pragma once
#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace mpanet {

struct CsvRow {
  size_t line = 0;                  // number of its first line, from 1
  std::vector<std::string> fields;  // unquoted fields without surrounding spaces; no empty fields at the end
};

// Calls take() with each row that is not blank. UserError, with the line's number, for a quote that is not closed and
// for text after a closing quote; also the errors of read_list_text().
void read_csv(const std::string& path, const std::function<void(CsvRow row)>& take);
// All rows. For lists of a million rows they take much memory.
std::vector<CsvRow> read_csv(const std::string& path);

// A field's text for a file, in quotes if necessary.
std::string csv_field(std::string_view text);

}  // namespace mpanet
