// The elements that a MATLAB v5 file is made of (MATLAB's "MAT-File Format", chapter 1), as far as trial files need
// them. Everything is a view into the file's bytes, so that a file costs what it holds and not what it claims to hold.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mpanet::mat {

using Bytes = std::span<const uint8_t>;

// Types of elements.
enum Type : uint32_t {
  kInt8 = 1,
  kUint8 = 2,
  kInt16 = 3,
  kUint16 = 4,
  kInt32 = 5,
  kUint32 = 6,
  kSingle = 7,
  kDouble = 9,
  kInt64 = 12,
  kUint64 = 13,
  kMatrix = 14,
  kCompressed = 15,
};

// Classes of arrays.
enum Class : uint8_t { kCell = 1, kStruct = 2, kChar = 4, kSparse = 5, kDoubleClass = 6, kUint64Class = 15 };

struct Element {
  uint32_t type = 0;
  Bytes data;
};

// Takes the next element off `bytes`; nothing when it is not whole. `swapped`: the file has the other byte order.
std::optional<Element> take_element(Bytes& bytes, bool swapped);

struct Array {
  uint8_t kind = 0;  // Class; 0 for an entry that was never set
  bool complex = false;
  std::vector<uint32_t> sizes;  // at least two, unless never set
  std::string_view name;
  Bytes content;  // the elements that follow

  bool numeric() const { return kind >= kDoubleClass && kind <= kUint64Class; }
  std::string describe() const;  // "a numeric matrix of 10x20"
};

// What a kMatrix element holds; nothing when it is damaged.
std::optional<Array> parse_array(Bytes data, bool swapped);

// A numeric element's values; nothing for another type.
std::optional<std::vector<double>> numbers(const Element& element, bool swapped);

// What a kCompressed element holds; nothing when it is damaged or larger than `most` bytes.
std::optional<std::vector<uint8_t>> inflate(Bytes data, size_t most);

// The other direction: the bytes of an element, and of a kMatrix element with its content.
std::string element(uint32_t type, std::string_view data);
std::string array(uint8_t kind, uint32_t rows, uint32_t columns, std::string_view name, std::string_view content);
std::string compressed(std::string_view data);

}  // namespace mpanet::mat
