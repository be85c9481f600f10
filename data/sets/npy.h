// NumPy's .npy files (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html).
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/file.h"

namespace mpanet {

// Writes version 1.0, C order, little endian, without commit(). dtype float32 or uint8, `shape` of any length.
void write_npy(OutputFile& file, const std::vector<int64_t>& shape, const float* values);
void write_npy(OutputFile& file, const std::vector<int64_t>& shape, const uint8_t* values);

// Writes the header of a float32 array. The caller writes the numbers after it.
void write_npy_header(OutputFile& file, const std::vector<int64_t>& shape);

// An array of float16, float32 or float64 in either byte order, C or Fortran order (Fortran order with at most
// two dimensions), versions 1.0 to 3.0. Opening reads only the header.
class NpyFile {
 public:
  // UserError of one line naming the file for anything else, and for a file whose length contradicts its shape.
  explicit NpyFile(const std::string& path);

  const std::string& path() const { return file_.path(); }
  const std::vector<int64_t>& shape() const { return shape_; }
  // Rows (along the first dimension) first..first + count - 1, as float32 in C order; `out` has space for them.
  // UserError, with row and column, for a finite float64 beyond float32's range, and for a row of numbers that are all
  // below float32's normal numbers without being all 0: it would lose its direction.
  void read_rows(int64_t first, int64_t count, float* out) const;
  // Numbers in a row.
  int64_t row_size() const;

 private:
  enum class Order { C, Fortran };
  void read_header();
  void read_dtype(std::string_view dtype);
  void check_length() const;
  void read_run(int64_t first, int64_t count, std::vector<uint8_t>& raw) const;
  // The column and value of a number that became smaller than float32's normal numbers, by row.
  using Lost = std::map<int64_t, std::pair<int64_t, double>>;
  float rounded(const uint8_t* from, int64_t row, int64_t column, Lost& lost) const;
  void check_lost(const Lost& lost, int64_t first, const float* out) const;

  InputFile file_;
  std::vector<int64_t> shape_;
  Order order_ = Order::C;
  int item_ = 4;          // bytes of a number
  bool swapped_ = false;  // in the other byte order
  uint64_t start_ = 0;    // of the numbers
};

struct NpyFloats {
  std::vector<int64_t> shape;
  std::vector<float> values;  // C order
};

// The whole array. UserError as above.
NpyFloats read_npy(const std::string& path);

}  // namespace mpanet
