// A precision for tests: the f64 network, rounded where an engine of fewer bits rounds. real is double. A storage value
// is a double that is rounded when it is stored, and the operands of convolutions and products are rounded when they
// are multiplied (rounded_products.cpp), to the formats that set_rounding() selects. Other kernels of the cpu backend,
// layers, losses and the network are compiled for it as for any precision (tests/CMakeLists.txt). Must be included
// before everything else.
#pragma once

namespace mpanet::rounded {

using real = double;
using Rounding = double (*)(double);

namespace storage_format {
inline Rounding rounding = [](double value) { return value; };
}
inline Rounding operand_rounding = [](double value) { return value; };

// To be called before any computation; a process has one pair of formats at a time.
void set_rounding(Rounding stored, Rounding operand);

class storage {
 public:
  storage() = default;
  explicit storage(double value) : value_(storage_format::rounding(value)) {}
  explicit operator double() const { return value_; }

 private:
  double value_;
};

}  // namespace mpanet::rounded
