// Times in UTC as text.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

namespace mpanet {

// "2026-11-26", "2026-11-26T18:30", "2026-11-26T18:30:05" as seconds since 1970. nullopt for anything else, such as the
// 30th of February.
std::optional<int64_t> parse_time(const std::string& text);

// "2026-11-26T18:30:05".
std::string time_text(int64_t seconds);

}  // namespace mpanet
