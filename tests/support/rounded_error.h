// Checks that the error of a network's tensor has the size of rounding errors. There are three versions of the tensor:
// got (an engine's), exact (the f64 network's) and rounded (the f64 network's, rounded where the engine stores;
// tests/support/rounded.h). A deep network magnifies rounding: after a few ReLUs got and rounded differ as much from
// each other as from exact. But rounding affects both equally, in size and in direction:
//   size    |got - exact| is at most a factor times |rounded - exact|
//   along   <got, exact> / <rounded, exact> is near 1: got and rounded have the same projection onto exact. Random
//           errors average out in these products. A missing gradient gives 0, a negated one -1, a halved one 1/2.
// Sums over steps and batches may be compared like single tensors.
#pragma once
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "tests/support/worst.h"

namespace mpanet {

class RoundedError {
 public:
  // The largest source of error. Storage: the rounding of stored values (bf16 and f16) or of operands (tf32). Sums:
  // sums in float (f32, where values are stored as float too).
  enum class Rounding { Storage, Sums };

  void add(const std::vector<double>& got, const std::vector<double>& exact, const std::vector<double>& rounded) {
    for (size_t i = 0; i < exact.size(); i++) {
      const double g = got[i], t = exact[i], r = rounded[i];
      got_error_ += (g - t) * (g - t);
      rounded_error_ += (r - t) * (r - t);
      exact_ += t * t;
      got_along_ += g * t;
      rounded_along_ += r * t;
    }
  }
  void add(const RoundedError& other) {
    got_error_ += other.got_error_;
    rounded_error_ += other.rounded_error_;
    exact_ += other.exact_;
    got_along_ += other.got_along_;
    rounded_along_ += other.rounded_along_;
  }

  double error() const { return std::sqrt(got_error_ / exact_); }  // of got, relative to exact
  double rounding_error() const { return std::sqrt(rounded_error_ / exact_); }
  double along() const { return got_along_ / rounded_along_; }

  // Measured with 40 pairs of seeds and sizes of training steps. Size: at most 1.4 in bf16 and f16 (2.04 for one tensor
  // of a batch whose norms nearly vanish), 13 in f32. Along: 0.91 to 1.13 in bf16, 0.97 to 1.04 in f16.
  // `floor`: an error of that size, relative to exact, is allowed too. `along_below`: the projections are compared only
  // if rounded's error is smaller, relative to exact. The projection of a larger error is not near that of exact.
  // `wider` multiplies the bound of the size.
  void see(Rounding rounding, double floor, const std::string& name, Worst& worst,
           double along_below = std::numeric_limits<double>::infinity(), double wider = 1) const {
    const double factor = (rounding == Rounding::Storage ? 2 : 32) * wider;
    worst.see(std::sqrt(got_error_), std::max(factor * std::sqrt(rounded_error_), floor * std::sqrt(exact_)), [&] {
      return fmt::format("{}: error {:.3g}, of rounded double {:.3g}", name, error(), rounding_error());
    });
    if (rounding_error() > along_below) return;
    worst.see(std::fabs(along() - 1), kAlong,
              [&] { return fmt::format("{}: {:.3f} times as far along double as rounded double", name, along()); });
  }

 private:
  static constexpr double kAlong = 0.2;
  double got_error_ = 0, rounded_error_ = 0, exact_ = 0, got_along_ = 0, rounded_along_ = 0;
};

}  // namespace mpanet
