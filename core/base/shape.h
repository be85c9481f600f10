// Shapes of up to four dimensions.
#pragma once
#include <array>
#include <cstdint>
#include <initializer_list>
#include <string>

#include "core/base/error.h"

namespace mpanet {

class Shape {
 public:
  Shape() = default;
  Shape(std::initializer_list<int64_t> dims) {
    MPANET_CHECK(dims.size() <= 4, "at most 4 dimensions, got {}", dims.size());
    for (const int64_t d : dims) {
      MPANET_CHECK(d > 0, "dimensions must be positive, got {}", d);
      dims_[static_cast<size_t>(rank_++)] = d;
    }
  }
  int rank() const { return rank_; }
  int64_t operator[](int i) const { return dims_[static_cast<size_t>(i)]; }
  int64_t count() const {
    int64_t n = 1;
    for (int i = 0; i < rank_; i++) n *= (*this)[i];
    return n;
  }
  std::string str() const {
    std::string text = "(";
    for (int i = 0; i < rank_; i++) text += (i ? ", " : "") + std::to_string((*this)[i]);
    return text + ")";
  }
  bool operator==(const Shape&) const = default;

 private:
  std::array<int64_t, 4> dims_{};
  int rank_ = 0;
};

}  // namespace mpanet
