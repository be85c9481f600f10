#include "core/base/quote.h"

#include <fmt/format.h>

#include <cstdint>

namespace mpanet {
namespace {

constexpr size_t kMostQuoted = 80;

struct Character {
  uint32_t code = 0;
  size_t bytes = 1;
  bool valid = false;  // well-formed UTF-8 (RFC 3629): not overlong, no surrogate, at most U+10FFFF
};

Character first_character(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t lead = byte(0);
  if (lead < 0x80) return {lead, 1, true};
  const size_t bytes = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < bytes) return {};
  uint32_t code = lead & (0x7f >> bytes);
  for (size_t i = 1; i < bytes; i++) {
    if ((byte(i) & 0xc0) != 0x80) return {};
    code = code << 6 | (byte(i) & 0x3f);
  }
  const uint32_t least = bytes == 2 ? 0x80 : bytes == 3 ? 0x800 : 0x10000;
  if (code < least || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return {};
  return {code, bytes, true};
}

// True for control characters, line separators, and marks that change the direction of writing.
bool misleads(uint32_t code) {
  return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x2028 || code == 0x2029 || code == 0x61c ||
         code == 0x200e || code == 0x200f || (code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
}

std::string escape(std::string_view bytes, const Character& character) {
  if (!character.valid) return fmt::format("\\x{:02x}", static_cast<uint8_t>(bytes[0]));
  switch (character.code) {
    case '\n':
      return "\\n";
    case '\r':
      return "\\r";
    case '\t':
      return "\\t";
    default:
      return character.code < 0x80 ? fmt::format("\\x{:02x}", character.code)
                                   : fmt::format("\\u{:04x}", character.code);
  }
}

std::string escaped(std::string_view text, size_t most_bytes, bool in_quotes) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const Character character = first_character(text.substr(at));
    const std::string_view bytes = text.substr(at, character.bytes);
    at += character.bytes;
    std::string shown(bytes);
    if (!character.valid || misleads(character.code)) shown = escape(bytes, character);
    if (in_quotes && (bytes == "\"" || bytes == "\\")) shown = "\\" + shown;
    if (out.size() + shown.size() > most_bytes) return out + "...";
    out += shown;
  }
  return out;
}

}  // namespace

std::string printable(std::string_view text, size_t most_bytes) { return escaped(text, most_bytes, false); }

std::string quote(std::string_view text) { return '"' + escaped(text, kMostQuoted, true) + '"'; }

}  // namespace mpanet
