#include "mpanet/search/times.h"

#include <ctime>

namespace mpanet {

std::string time_text(int64_t seconds) {
  const std::time_t time = seconds;
  std::tm parts{};
  char text[64] = "";
  if (gmtime_r(&time, &parts) != nullptr) std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
  return text;
}

std::optional<int64_t> parse_time(const std::string& text) {
  const size_t size = text.size();
  if (size != 10 && size != 16 && size != 19) return std::nullopt;
  const std::string whole = text + std::string("T00:00:00").substr(size - 10);
  std::tm parts{};
  const char* end = strptime(whole.c_str(), "%Y-%m-%dT%H:%M:%S", &parts);
  if (end == nullptr || *end != '\0') return std::nullopt;
  const int64_t seconds = timegm(&parts);
  // strptime() accepts other forms of numbers, and days that a month does not have.
  if (time_text(seconds) != whole) return std::nullopt;
  return seconds;
}

}  // namespace mpanet
