// The probability that two pictures show the same person, as a logistic curve of their distance (Platt scaling):
//
//   P(same | d) = 1 / (1 + exp(-(intercept + slope d)))
//
// Platt, "Probabilistic outputs for support vector machines and comparisons to regularized likelihood methods", 1999;
// Newton's method as in Lin, Lin and Weng, "A note on Platt's probabilistic outputs for support vector machines",
// Machine Learning 68, 2007. docs/method.md, section 5.
#pragma once
#include <span>

namespace mpanet {

struct LogisticCurve {
  double intercept = 0, slope = 0;
  double probability(double distance) const;               // 0..1
  double threshold() const { return -intercept / slope; }  // the distance of probability 0.5; slope must not be 0
  bool operator==(const LogisticCurve&) const = default;
};

// The curve of maximum likelihood for distances of pairs of the same person and of different persons. Both kinds of
// pairs have the same total weight: the probability is that of a pair whose kinds are equally likely beforehand. The
// targets are Platt's, (n + 1) / (n + 2) for n pairs of the same person and 1 / (n + 2) for n pairs of different ones,
// instead of 1 and 0. They come from a uniform prior of the errors of each kind, and keep the curve finite when one
// distance separates all pairs. Computed in double; in another unit of distance the curve is the same. UserError when
// one of the kinds has no pair, and when all distances are equal.
LogisticCurve fit_logistic(std::span<const float> same, std::span<const float> different);

}  // namespace mpanet
