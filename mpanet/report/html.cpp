#include "mpanet/report/html.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "core/base/quote.h"

namespace mpanet {

std::string escape(std::string_view text) {
  std::string made;
  for (const char c : printable(text)) switch (c) {
      case '&':
        made += "&amp;";
        break;
      case '<':
        made += "&lt;";
        break;
      case '>':
        made += "&gt;";
        break;
      case '"':
        made += "&quot;";
        break;
      case '\'':
        made += "&#39;";
        break;
      default:
        made += c;
    }
  return made;
}

std::string data_uri(std::string_view type, std::string_view bytes) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string made = fmt::format("data:{};base64,", type);
  made.reserve(made.size() + bytes.size() * 4 / 3 + 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t count = std::min<size_t>(3, bytes.size() - i);
    uint32_t word = 0;
    for (size_t k = 0; k < 3; k++) word = word << 8 | (k < count ? static_cast<uint8_t>(bytes[i + k]) : 0u);
    for (size_t k = 0; k < 4; k++) made += k <= count ? kDigits[word >> (18 - 6 * k) & 63] : '=';
  }
  return made;
}

std::string shown_number(double value, int decimals) {
  return std::isnan(value) ? "–" : fmt::format("{:.{}f}", value, decimals);
}

std::string table(const std::string& label, const std::vector<std::string>& head, const std::vector<TableRow>& rows,
                  bool numbers) {
  std::string made =
      fmt::format("<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{}\"><table{}>\n<thead><tr>",
                  escape(label), numbers ? " class=\"numbers\"" : "");
  for (const std::string& cell : head) made += fmt::format("<th scope=\"col\">{}</th>", cell);
  made += "</tr></thead>\n<tbody>\n";
  for (const TableRow& row : rows) {
    made += row.kind.empty() ? std::string("<tr>") : fmt::format("<tr class=\"{}\">", row.kind);
    for (size_t i = 0; i < row.cells.size(); i++)
      made +=
          i == 0 ? fmt::format("<th scope=\"row\">{}</th>", row.cells[i]) : fmt::format("<td>{}</td>", row.cells[i]);
    made += "</tr>\n";
  }
  return made + "</tbody></table></div>\n";
}

}  // namespace mpanet
