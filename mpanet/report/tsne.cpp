#include "mpanet/report/tsne.h"

#include <algorithm>
#include <cmath>

#include "core/base/error.h"
#include "core/base/random.h"

namespace mpanet {
namespace {

using Point = std::array<double, 2>;

// Writes the conditional probabilities p(j|i) of one row, with the precision (1 / 2 sigma^2) at which their perplexity
// is the wanted one, found by bisection. The smallest squared distance is subtracted, which changes no probability.
void set_row(const float* squared, size_t n, size_t i, double perplexity, double* p) {
  double least = INFINITY, sum = 0;
  for (size_t j = 0; j < n; j++)
    if (j != i) least = std::min(least, static_cast<double>(squared[j])), sum += squared[j];
  const double mean = sum / static_cast<double>(n - 1) - least;
  double precision = mean > 0 ? 1 / mean : 1, low = 0, high = INFINITY;
  const double wanted = std::log(perplexity);
  for (int step = 0; step < 64; step++) {
    double total = 0, weighted = 0;
    for (size_t j = 0; j < n; j++) {
      const double d = squared[j] - least;
      p[j] = j == i ? 0 : std::exp(-precision * d);
      total += p[j];
      weighted += p[j] * d;
    }
    for (size_t j = 0; j < n; j++) p[j] /= total;
    const double difference = std::log(total) + precision * weighted / total - wanted;  // entropy - log(perplexity)
    if (std::abs(difference) < 1e-5) return;
    (difference > 0 ? low : high) = precision;
    precision = std::isinf(high) ? precision * 2 : (low + high) / 2;
  }
}

// The joint probabilities (n, n): the mean of p(j|i) and p(i|j), divided by n.
std::vector<double> joint_probabilities(const std::vector<float>& squared, size_t n, double perplexity) {
  std::vector<double> conditional(n * n), joint(n * n);
#pragma omp parallel for schedule(static)
  for (size_t i = 0; i < n; i++) set_row(squared.data() + i * n, n, i, perplexity, conditional.data() + i * n);
  const double divisor = 2 * static_cast<double>(n);
#pragma omp parallel for schedule(static)
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < n; j++)
      joint[i * n + j] = std::max((conditional[i * n + j] + conditional[j * n + i]) / divisor, 1e-12);
  return joint;
}

// The descent, with momentum and a gain per coordinate.
class Descent {
 public:
  Descent(const std::vector<double>& joint, size_t n, uint64_t seed)
      : joint_(joint), n_(n), x_(n), y_(n), speed_(n), gain_(n, {1, 1}), attraction_(n), repulsion_(n), total_(n) {
    for (size_t i = 0; i < n; i++) {
      Random random(seed, Purpose::Chance, 2, static_cast<uint32_t>(i));  // epochs 0 and 1 are used by evaluation
      x_[i] = 1e-4 * random.normal();
      y_[i] = 1e-4 * random.normal();
    }
  }

  void step(double exaggeration, double momentum, double rate) {
    compute_forces();
    double total = 0;
    for (const double part : total_) total += part;
    for (size_t i = 0; i < n_; i++)
      for (int axis = 0; axis < 2; axis++) {
        const double gradient = 4 * (exaggeration * attraction_[i][axis] - repulsion_[i][axis] / total);
        double& speed = speed_[i][axis];
        double& gain = gain_[i][axis];
        gain = (gradient > 0) == (speed > 0) ? std::max(gain * 0.8, 0.01) : gain + 0.2;
        speed = momentum * speed - rate * gain * gradient;
        (axis == 0 ? x_ : y_)[i] += speed;
      }
    centre(x_);
    centre(y_);
  }

  std::vector<Point> points() const {
    std::vector<Point> made(n_);
    for (size_t i = 0; i < n_; i++) made[i] = {x_[i], y_[i]};
    return made;
  }

 private:
  // Sums of each row by itself, so that they do not depend on the threads.
  void compute_forces() {
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < n_; i++) {
      const double xi = x_[i], yi = y_[i];
      const double* p = joint_.data() + i * n_;
      double ax = 0, ay = 0, rx = 0, ry = 0, total = 0;
#pragma omp simd reduction(+ : ax, ay, rx, ry, total)
      for (size_t j = 0; j < n_; j++) {
        const double dx = xi - x_[j], dy = yi - y_[j], q = 1 / (1 + dx * dx + dy * dy);
        ax += p[j] * q * dx, ay += p[j] * q * dy;
        rx += q * q * dx, ry += q * q * dy;
        total += q;
      }
      attraction_[i] = {ax, ay};
      repulsion_[i] = {rx, ry};
      total_[i] = total - 1;  // without j = i
    }
  }

  void centre(std::vector<double>& values) const {
    double sum = 0;
    for (const double value : values) sum += value;
    for (double& value : values) value -= sum / static_cast<double>(n_);
  }

  const std::vector<double>& joint_;
  size_t n_;
  std::vector<double> x_, y_;
  std::vector<Point> speed_, gain_, attraction_, repulsion_;
  std::vector<double> total_;
};

}  // namespace

std::vector<Point> tsne(const std::vector<float>& squared_distances, size_t n, const TsneOptions& options) {
  MPANET_CHECK(squared_distances.size() == n * n, "{} distances of {} items", squared_distances.size(), n);
  if (n < 2) return std::vector<Point>(n, {0, 0});
  const double perplexity = std::max(1.0, std::min(options.perplexity, static_cast<double>(n - 1) / 3));
  const std::vector<double> joint = joint_probabilities(squared_distances, n, perplexity);
  Descent descent(joint, n, options.seed);
  // The exaggeration and the learning rate of Belkina et al., Nature Communications 2019.
  constexpr double kExaggeration = 12;
  const double rate = std::max(static_cast<double>(n) / kExaggeration, 50.0) / 4;
  for (int i = 0; i < options.iterations; i++) {
    const bool early = i < options.iterations / 4;
    descent.step(early ? kExaggeration : 1, early ? 0.5 : 0.8, early ? rate : rate * 4);
  }
  return descent.points();
}

}  // namespace mpanet
