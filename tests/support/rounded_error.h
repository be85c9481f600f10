// Checks that the error of a network's tensor has the size of rounding errors. There are three versions of the tensor:
// got (an engine's), exact (the f64 network's) and rounded (the f64 network's, rounded where the engine stores;
// tests/support/rounded.h). A deep network magnifies rounding: after a few ReLUs got and rounded differ as much from
// each other as from exact. But rounding affects both equally, in size and in direction:
//   size    |got - exact| is at most a factor times |rounded - exact|
//   along   <got, exact> / <rounded, exact> is near 1: got and rounded have the same projection onto exact. Random
//           errors average out in these products. A missing gradient gives 0, a negated one -1, a halved one 1/2.
// There may be several runs of the rounded network that differ by perturbations of its roundings (RoundedNetwork::run).
// A value near the kink of a ReLU, and near in size to the largest of a window, is on either side of it from run to
// run, and its whole gradient appears or disappears. That is no rounding error of got's, and a tensor of few values is
// changed much by one. So the largest error of the runs counts, and the range of their projections.
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
  static constexpr double kAlong = 0.2;  // bound of the projections' difference from 1

  // The largest source of error. Storage: the rounding of stored values (bf16 and f16) or of operands (tf32). Sums:
  // sums in float (f32, where values are stored as float too).
  enum class Rounding { Storage, Sums };

  // rounded: of each run; as many in every call.
  void add(const std::vector<double>& got, const std::vector<double>& exact,
           const std::vector<const std::vector<double>*>& rounded) {
    values_ = std::max(values_, exact.size());
    for (size_t i = 0; i < exact.size(); i++) {
      const double g = got[i], t = exact[i];
      got_error_ += (g - t) * (g - t);
      exact_ += t * t;
      got_along_ += g * t;
    }
    runs_.resize(rounded.size());
    for (size_t run = 0; run < rounded.size(); run++) {
      Run& sums = runs_[run];
      for (size_t i = 0; i < exact.size(); i++) {
        const double r = (*rounded[run])[i], t = exact[i];
        sums.error += (r - t) * (r - t);
        sums.along += r * t;
      }
    }
  }
  void add(const RoundedError& other) {
    values_ = std::max(values_, other.values_);
    got_error_ += other.got_error_;
    exact_ += other.exact_;
    got_along_ += other.got_along_;
    runs_.resize(other.runs_.size());
    for (size_t run = 0; run < runs_.size(); run++) {
      runs_[run].error += other.runs_[run].error;
      runs_[run].along += other.runs_[run].along;
    }
  }

  double error() const { return std::sqrt(got_error_ / exact_); }  // of got, relative to exact
  double rounding_error() const { return std::sqrt(largest_error() / exact_); }
  // Of the projections' difference from 1, for a tensor. Independent errors of n values, together e relative to exact,
  // change the projection by e / sqrt(n); four times this is allowed, if it is at most e, and less than a halved
  // gradient's difference.
  double along_bound() const {
    const double averaged = std::min(1.0, 4 / std::sqrt(static_cast<double>(std::max(values_, size_t{1}))));
    return std::clamp(averaged * rounding_error(), kAlong, 0.4);
  }
  // got's projection / that of the run whose projection is nearest; 1 between two runs.
  double along() const {
    const auto [least, most] =
        std::minmax_element(runs_.begin(), runs_.end(), [](const Run& a, const Run& b) { return a.along < b.along; });
    if (got_along_ < least->along) return got_along_ / least->along;
    return got_along_ > most->along ? got_along_ / most->along : 1;
  }

  // Storage: twice the largest error. Sums: rounded has the errors of storage alone in its first run, which has no more
  // than 1/32 of those that are allowed, and of the size of sums in the later ones (perturb_roundings()).
  double allowed(Rounding rounding) const {
    if (runs_.empty()) return 0;
    double most = (rounding == Rounding::Storage ? 2 : 32) * std::sqrt(runs_.front().error);
    for (const Run& run : runs_) most = std::max(most, 2 * std::sqrt(run.error));
    return most;
  }

  // Measured with 40 pairs of seeds and sizes of training steps. Size: at most 1.4 in bf16 and f16 (2.04 for one tensor
  // of a batch whose norms nearly vanish), 13 in f32. Along: 0.91 to 1.13 in bf16, 0.97 to 1.04 in f16.
  // `floor`: an error of that size, relative to exact, is allowed too. `along_below`: the projections are compared only
  // if rounded's error is smaller, relative to exact. The projection of a larger error is not near that of exact.
  void see(Rounding rounding, double floor, const std::string& name, Worst& worst,
           double along_below = std::numeric_limits<double>::infinity(), double along_bound = kAlong) const {
    worst.see(std::sqrt(got_error_), std::max(allowed(rounding), floor * std::sqrt(exact_)), [&] {
      return fmt::format("{}: error {:.3g}, of rounded double {:.3g}", name, error(), rounding_error());
    });
    if (rounding_error() > along_below) return;
    worst.see(std::fabs(along() - 1), along_bound,
              [&] { return fmt::format("{}: {:.3f} times as far along double as rounded double", name, along()); });
  }

 private:
  struct Run {
    double error = 0, along = 0;
  };
  double largest_error() const {
    double largest = 0;
    for (const Run& run : runs_) largest = std::max(largest, run.error);
    return largest;
  }

  size_t values_ = 0;  // of the largest tensor
  double got_error_ = 0, exact_ = 0, got_along_ = 0;
  std::vector<Run> runs_;
};

}  // namespace mpanet
