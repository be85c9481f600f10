// Pieces of HTML and SVG as text. Everything that comes from a file, a file name or an argument goes through escape().
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace mpanet {

// The text for HTML's and SVG's content and for attributes in either kind of quotes. Control characters and bytes that
// are not UTF-8 are shown as in messages (printable() in core/base/quote.h).
std::string escape(std::string_view text);

// "data:image/jpeg;base64,..."
std::string data_uri(std::string_view type, std::string_view bytes);

// A number with `decimals` digits; an en dash for NaN.
std::string shown_number(double value, int decimals);

// A table with a heading row. Cells are HTML. The first column has row headings, the others are right-aligned if
// `numbers`. It scrolls by itself when it is wider than the page; `label` names it for screen readers.
struct TableRow {
  std::vector<std::string> cells;
  std::string kind;  // a class of the row, or empty
};
std::string table(const std::string& label, const std::vector<std::string>& head, const std::vector<TableRow>& rows,
                  bool numbers);

}  // namespace mpanet
