#include "mpanet/evaluation/logistic.h"

#include <algorithm>
#include <cmath>

#include "core/base/error.h"

namespace mpanet {
namespace {

constexpr int kMostSteps = 200;

double sigmoid(double logit) {
  const double small = std::exp(-std::abs(logit));
  return logit >= 0 ? 1 / (1 + small) : small / (1 + small);
}

// Distances of one kind. The weights of a kind add up to a half.
struct Kind {
  std::span<const float> distances;
  double weight, target;  // of each pair
};

// The weighted mean of the distances, and their deviation: the fit is over (d - mean) / deviation.
struct Scale {
  double mean = 0, deviation = 0;
};

Scale scale_of(const Kind (&kinds)[2]) {
  Scale scale;
  for (const Kind& kind : kinds)
    for (const float d : kind.distances) scale.mean += kind.weight * d;
  double square = 0;
  for (const Kind& kind : kinds)
    for (const float d : kind.distances) square += kind.weight * (d - scale.mean) * (d - scale.mean);
  scale.deviation = std::sqrt(square);
  return scale;
}

// Cross entropy, its gradient and its Hessian at a + b x, x the scaled distance.
struct Objective {
  double value = 0, ga = 0, gb = 0, aa = 0, ab = 0, bb = 0;
};

Objective objective_at(const Kind (&kinds)[2], const Scale& scale, double a, double b) {
  Objective sum;
  for (const Kind& kind : kinds)
    for (const float d : kind.distances) {
      const double x = (d - scale.mean) / scale.deviation, logit = a + b * x, p = sigmoid(logit);
      const double miss = kind.weight * (p - kind.target), curvature = kind.weight * p * sigmoid(-logit);
      // log(1 + exp(logit)) - target * logit without overflow.
      sum.value += kind.weight * (std::max(logit, 0.0) + std::log1p(std::exp(-std::abs(logit))) - kind.target * logit);
      sum.ga += miss;
      sum.gb += miss * x;
      sum.aa += curvature;
      sum.ab += curvature * x;
      sum.bb += curvature * x * x;
    }
  return sum;
}

}  // namespace

double LogisticCurve::probability(double distance) const { return sigmoid(intercept + slope * distance); }

LogisticCurve fit_logistic(std::span<const float> same, std::span<const float> different) {
  if (same.empty()) fail("calibration: there is no pair of the same person");
  if (different.empty()) fail("calibration: there is no pair of different persons");
  const auto positive = static_cast<double>(same.size()), negative = static_cast<double>(different.size());
  const Kind kinds[2] = {{same, 0.5 / positive, (positive + 1) / (positive + 2)},
                         {different, 0.5 / negative, 1 / (negative + 2)}};
  const Scale scale = scale_of(kinds);
  const auto [low_same, high_same] = std::minmax_element(same.begin(), same.end());
  const auto [low, high] = std::minmax_element(different.begin(), different.end());
  if (std::min(*low_same, *low) == std::max(*high_same, *high) || !(scale.deviation > 0))
    fail("calibration: all pairs have the same distance, {}", same.front());
  double a = 0, b = 0;
  Objective now = objective_at(kinds, scale, a, b);
  for (int step = 0; step < kMostSteps; step++) {
    // The Hessian is positive definite, but for rounding: distances differ, and no p is 0 or 1 near the targets.
    const double ridge = 1e-14 * (now.aa + now.bb), aa = now.aa + ridge, bb = now.bb + ridge;
    const double determinant = aa * bb - now.ab * now.ab;
    const double da = -(bb * now.ga - now.ab * now.gb) / determinant,
                 db = -(aa * now.gb - now.ab * now.ga) / determinant;
    double length = 1;
    Objective next = objective_at(kinds, scale, a + da, b + db);
    while (next.value > now.value && length > 1e-6) {
      length /= 2;
      next = objective_at(kinds, scale, a + length * da, b + length * db);
    }
    if (next.value > now.value) break;  // as low as rounding allows
    a += length * da, b += length * db;
    now = next;
    if (std::abs(da) + std::abs(db) < 1e-12 * (1 + std::abs(a) + std::abs(b))) break;
  }
  return {a - b * scale.mean / scale.deviation, b / scale.deviation};
}

}  // namespace mpanet
