// The worst of many comparisons: its error, the ratio of error to tolerance, and its location.
#pragma once
#include <cmath>
#include <concepts>
#include <limits>
#include <string>

namespace mpanet {

struct Worst {
  double error = 0, ratio = 0;
  std::string where = "nothing";

  // An error that is not finite is worse than any other. `text` is the location, or a function that returns it, which
  // is called only for the worst comparison so far.
  template <class Text>
  void see(double found, double tolerance, const Text& text) {
    const double used = std::isfinite(found) ? (found == 0 ? 0 : found / tolerance) : kInfinity;
    if (used < ratio) return;
    error = found;
    ratio = used;
    if constexpr (std::invocable<Text>)
      where = text();
    else
      where = text;
  }
  void see(const Worst& other) {
    if (other.ratio >= ratio) *this = other;
  }
  bool within() const { return ratio <= 1; }

 private:
  static constexpr double kInfinity = std::numeric_limits<double>::infinity();
};

}  // namespace mpanet
