#include "mpanet/training/log_views.h"

#include <fmt/format.h>

#include <array>
#include <bit>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>

namespace mpanet {
namespace {

using nlohmann::ordered_json;

constexpr const char* kLineColumns[] = {"kind", "step", "epoch", "batch", "batches", "lr", "images_per_second"};
constexpr const char* kTerms[] = {"total", "p-reg", "tri", "cen", "cc", "ce", "ce-v", "ce-i", "KL"};
constexpr const char* kMetricKeys[] = {"rank1", "rank5", "rank10", "rank20", "mAP", "mINP"};

// The member of an object; null for anything else.
const ordered_json& member(const ordered_json& value, const char* key) {
  static const ordered_json none;
  if (!value.is_object()) return none;
  const auto found = value.find(key);
  return found == value.end() ? none : *found;
}

std::string cell(const ordered_json& value) {
  if (value.is_null()) return "";
  return value.is_string() ? value.get<std::string>() : value.dump();
}

// Little-endian, as all numbers in the file.
template <class Number>
void put(std::string& text, Number number) {
  static_assert(std::endian::native == std::endian::little);
  text.append(reinterpret_cast<const char*>(&number), sizeof number);
}

template <class Number>
std::optional<Number> take(std::string_view& text) {
  if (text.size() < sizeof(Number)) return std::nullopt;
  Number number;
  std::memcpy(&number, text.data(), sizeof number);
  text.remove_prefix(sizeof number);
  return number;
}

// Protocol buffers: a field's key is its number and wire type (0 varint, 1 eight bytes, 2 bytes with length, 5 four).
void put_varint(std::string& text, uint64_t number) {
  for (; number >= 128; number >>= 7) text += static_cast<char>(number | 128);
  text += static_cast<char>(number);
}
void put_bytes(std::string& text, int field, std::string_view bytes) {
  put_varint(text, static_cast<uint64_t>(field) << 3 | 2);
  put_varint(text, bytes.size());
  text += bytes;
}

constexpr char kTimeKey = 1 << 3 | 1, kStepKey = 2 << 3 | 0;
constexpr int kVersionField = 3, kSummaryField = 5;

std::string event_start(double time, int64_t step) {
  std::string event(1, kTimeKey);
  put(event, time);
  event += kStepKey;
  put_varint(event, static_cast<uint64_t>(step));
  return event;
}

uint32_t masked_checksum(std::string_view bytes) { return std::rotr(crc32c(bytes), 15) + 0xa282ead8u; }

std::string framed(std::string_view event) {
  std::string record;
  put(record, static_cast<uint64_t>(event.size()));
  put(record, masked_checksum(record));
  record += event;
  put(record, masked_checksum(event));
  return record;
}

}  // namespace

std::string csv_head() {
  std::string head;
  for (const char* name : kLineColumns) head += fmt::format("{},", name);
  for (const char* name : kTerms) head += fmt::format("{},", name);
  head += "best";
  for (const char* name : kMetricKeys) head += fmt::format(",{}", name);
  return head + "\n";
}

std::string csv_row(const ordered_json& line) {
  std::string row;
  for (const char* name : kLineColumns) row += cell(member(line, name)) + ",";
  for (const char* name : kTerms) row += cell(member(member(line, "losses"), name)) + ",";
  row += cell(member(line, "best"));
  const ordered_json& results = member(line, "results");
  const ordered_json first = results.is_array() && !results.empty() ? results.front() : ordered_json();
  for (const char* name : kMetricKeys) row += "," + cell(member(first, name));
  return row + "\n";
}

std::vector<std::pair<std::string, double>> event_scalars(const ordered_json& line) {
  std::vector<std::pair<std::string, double>> scalars;
  const auto add = [&](const std::string& name, const ordered_json& value) {
    if (value.is_number()) scalars.emplace_back(name, value.get<double>());
  };
  const bool step = member(line, "kind") == "step";
  if (const ordered_json& losses = member(line, "losses"); losses.is_object())
    for (const auto& [name, value] : losses.items()) add(fmt::format("{}/{}", step ? "loss" : "epoch", name), value);
  if (step) add("training/images_per_second", member(line, "images_per_second"));
  if (!step) add("training/lr", member(line, "lr"));
  if (const ordered_json& results = member(line, "results"); results.is_array())
    for (const ordered_json& result : results)
      for (const char* key : kMetricKeys)
        add(fmt::format("evaluation/{}/{} {}: {}", key, cell(member(result, "mode")), cell(member(result, "shots")),
                        cell(member(result, "direction"))),
            member(result, key));
  return scalars;
}

std::string event_head(double time) {
  std::string event(1, kTimeKey);
  put(event, time);
  put_bytes(event, kVersionField, "brain.Event:2");
  return framed(event);
}

std::string event_record(double time, int64_t step, const std::vector<std::pair<std::string, double>>& scalars) {
  std::string summary;
  for (const auto& [name, number] : scalars) {
    std::string value;
    put_bytes(value, 1, name);
    value += static_cast<char>(2 << 3 | 5);
    put(value, static_cast<float>(number));
    put_bytes(summary, 1, value);
  }
  std::string event = event_start(time, step);
  put_bytes(event, kSummaryField, summary);
  return framed(event);
}

std::map<int64_t, double> event_times(std::string_view file) {
  std::map<int64_t, double> times;
  while (true) {
    const auto size = take<uint64_t>(file);
    if (!take<uint32_t>(file) || !size || *size > file.size()) return times;
    std::string_view event = file.substr(0, *size);
    file.remove_prefix(*size);
    if (!take<uint32_t>(file) || event.empty() || event.front() != kTimeKey) return times;
    event.remove_prefix(1);
    const auto time = take<double>(event);
    if (!time || event.empty() || event.front() != kStepKey) continue;  // the head has no step
    event.remove_prefix(1);
    uint64_t step = 0;
    for (int shift = 0; shift < 64 && !event.empty(); shift += 7) {
      const auto byte = static_cast<uint8_t>(event.front());
      event.remove_prefix(1);
      step |= static_cast<uint64_t>(byte & 127) << shift;
      if (byte < 128) break;
    }
    times.emplace(static_cast<int64_t>(step), *time);
  }
}

uint32_t crc32c(std::string_view bytes) {
  static const std::array<uint32_t, 256> table = [] {
    std::array<uint32_t, 256> made;
    for (uint32_t i = 0; i < 256; i++) {
      uint32_t value = i;
      for (int bit = 0; bit < 8; bit++) value = value & 1 ? value >> 1 ^ 0x82f63b78u : value >> 1;
      made[i] = value;
    }
    return made;
  }();
  uint32_t sum = ~0u;
  for (const char c : bytes) sum = sum >> 8 ^ table[(sum ^ static_cast<uint8_t>(c)) & 255];
  return ~sum;
}

}  // namespace mpanet
