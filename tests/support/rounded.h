// A precision for tests: the f64 network rounded where an engine of fewer bits stores a tensor. real is double; a value
// of storage is a double that was rounded when it was stored, to the format that set_rounding() chose. Kernels of the
// cpu backend, layers, losses and the network are compiled for it as for any precision (tests/CMakeLists.txt), so it
// rounds what they store and nothing else. Included before everything else.
#pragma once

namespace mpanet::rounded {

using real = double;
using Rounding = double (*)(double);

namespace storage_format {
inline Rounding rounding = [](double value) { return value; };
}

// Before anything is computed; a process has one format at a time.
void set_rounding(Rounding rounding);

class storage {
 public:
  storage() = default;
  explicit storage(double value) : value_(storage_format::rounding(value)) {}
  explicit operator double() const { return value_; }

 private:
  double value_;
};

}  // namespace mpanet::rounded
