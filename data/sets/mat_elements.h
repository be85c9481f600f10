// The elements of a MATLAB v5 file (MATLAB's "MAT-File Format", chapter 1), as far as trial files need them. All are
// views of the file's bytes, so that memory depends on the file's length and not on the sizes that it states.
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

// Removes the next element from `bytes` and returns it; nullopt when it is truncated. `swapped`: the file has the other
// byte order.
std::optional<Element> take_element(Bytes& bytes, bool swapped);

struct Array {
  uint8_t kind = 0;  // Class; 0 for a cell that was never set
  bool complex = false;
  std::vector<uint32_t> sizes;  // at least two; none for a cell that was never set
  std::string_view name;
  Bytes content;  // the elements after the header

  bool numeric() const { return kind >= kDoubleClass && kind <= kUint64Class; }
  std::string describe() const;  // "a numeric matrix of 10x20"
};

// Parses a kMatrix element; nullopt when it is damaged.
std::optional<Array> parse_array(Bytes data, bool swapped);

// The values of a numeric element; nullopt for another type.
std::optional<std::vector<double>> numbers(const Element& element, bool swapped);

// Decompresses a kCompressed element; nullopt when it is damaged or has more than `most` bytes.
std::optional<std::vector<uint8_t>> inflate(Bytes data, size_t most);

// For writing: the bytes of an element, of a kMatrix element with its content, and of a kCompressed element.
std::string element(uint32_t type, std::string_view data);
std::string array(uint8_t kind, uint32_t rows, uint32_t columns, std::string_view name, std::string_view content);
std::string compressed(std::string_view data);

}  // namespace mpanet::mat
