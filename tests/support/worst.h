// The worst of many comparisons: how large the error was, which share of its tolerance it used, and where.
#pragma once
#include <cmath>
#include <concepts>
#include <limits>
#include <string>

namespace mpanet {

struct Worst {
  double error = 0, share = 0;
  std::string where = "nothing";

  // An error that is not finite is worse than any. `text` is the place, or a function that tells it: called for the
  // worst so far only.
  template <class Text>
  void see(double found, double tolerance, const Text& text) {
    const double used = std::isfinite(found) ? (found == 0 ? 0 : found / tolerance) : kInfinity;
    if (used < share) return;
    error = found;
    share = used;
    if constexpr (std::invocable<Text>)
      where = text();
    else
      where = text;
  }
  void see(const Worst& other) {
    if (other.share >= share) *this = other;
  }
  bool within() const { return share <= 1; }

 private:
  static constexpr double kInfinity = std::numeric_limits<double>::infinity();
};

}  // namespace mpanet
