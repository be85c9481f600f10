// Comma-separated values as RFC 4180 and spreadsheets write them: fields in double quotes may hold commas, doubled
// quotes and line ends; lines end with LF or CR LF; a byte order mark, blank lines and empty fields at a line's end are
// harmless.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace mpanet {

struct CsvRow {
  size_t line = 0;                  // from 1: where it begins
  std::vector<std::string> fields;  // without spaces around a field that is not quoted; no empty ones at the end
};

// The rows that are not blank. UserError with the line's number: a quote that is not closed, text after a closing
// quote; and what read_list_text() refuses.
std::vector<CsvRow> read_csv(const std::string& path);

// The field as it stands in a file, in quotes where it has to be.
std::string csv_field(std::string_view text);

}  // namespace mpanet
