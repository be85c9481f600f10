// Pattern alignment module: the maps and the pooling. p <= 8 maps per image.
#include <algorithm>
#include <cmath>

#include "core/base/error.h"
#include "kernels/cpu/convert.h"
#include "kernels/cpu/rows.h"
#include "kernels/kernels.h"

namespace mpanet::PRECISION::cpu {
namespace {

constexpr int kMaxParts = 8;

void check(int p) { MPANET_CHECK(p >= 1 && p <= kMaxParts, "expected 1 to {} pattern maps, got {}", kMaxParts, p); }

// A sum of products. Lanes have sums of their own, which vectorises, and in one sum thousands of terms would be rounded
// too often.
class Dot {
 public:
  // Of all calls but the last one, count is a multiple of kLanes.
  void add(const real* a, const real* x, int count) {
    int k = 0;
    for (; k + kLanes <= count; k += kLanes)
      for (int lane = 0; lane < kLanes; lane++) sums_[lane] += a[k + lane] * x[k + lane];
    for (int lane = 0; k < count; k++, lane++) sums_[lane] += a[k] * x[k];
  }
  real total() const {
    real total = 0;
    for (const real sum : sums_) total += sum;
    return total;
  }

 private:
  static constexpr int kLanes = 32;
  static_assert(kRun % kLanes == 0);
  real sums_[kLanes] = {};
};

// sum += factor x
void add_scaled(real factor, const real* x, int count, real* sum) {
#pragma omp simd
  for (int k = 0; k < count; k++) sum[k] += factor * x[k];
}

// Calls body(first channel, count, x's channels) for runs of the channels of a row.
template <class Body>
void for_each_part(const storage* x, int c, const Body& body) {
  Row<kRun> buffer;
  for (int first = 0; first < c; first += kRun) {
    const int count = std::min(kRun, c - first);
    body(first, count, buffer.read(x + first, count));
  }
}

}  // namespace

void pattern_alignment_forward(Stream, const storage* x, const real* w, const real* b, int n, int hw, int c, int p,
                               real* masks, real* f) {
  check(p);
  const real inverse_hw = 1 / static_cast<real>(hw);
#pragma omp parallel for schedule(static)
  for (int i = 0; i < n; i++) {
    real* fi = f + int64_t{i} * (p + 1) * c;
    std::fill_n(fi, int64_t{p + 1} * c, real(0));
    for (int64_t row = int64_t{i} * hw; row < int64_t{i + 1} * hw; row++) {
      Dot dots[kMaxParts];
      for_each_part(x + row * c, c, [&](int first, int count, const real* xr) {
        for (int j = 0; j < p; j++) dots[j].add(w + int64_t{j} * c + first, xr, count);
      });
      real* m = masks + row * p;
      for (int j = 0; j < p; j++) m[j] = 1 / (1 + std::exp(-(dots[j].total() + b[j])));
      for_each_part(x + row * c, c, [&](int first, int count, const real* xr) {
        for (int j = 0; j <= p; j++) add_scaled(j < p ? m[j] : real{1}, xr, count, fi + int64_t{j} * c + first);
      });
    }
    for (int64_t k = 0; k < int64_t{p + 1} * c; k++) fi[k] *= inverse_hw;
  }
}

void pattern_alignment_backward(Stream, const real* df, const real* dmasks, const storage* x, const real* masks,
                                const real* w, int n, int hw, int c, int p, storage* dx, Write dx_write, real* image_dw,
                                real* image_db) {
  check(p);
  const real inverse_hw = 1 / static_cast<real>(hw);
#pragma omp parallel for schedule(static)
  for (int i = 0; i < n; i++) {
    const real* dfi = df == nullptr ? nullptr : df + int64_t{i} * (p + 1) * c;
    real *dw = image_dw + int64_t{i} * p * c, *db = image_db + int64_t{i} * p;
    std::fill_n(dw, int64_t{p} * c, real(0));
    std::fill_n(db, p, real(0));
    for (int64_t row = int64_t{i} * hw; row < int64_t{i + 1} * hw; row++) {
      Dot dots[kMaxParts];
      if (dfi != nullptr)
        for_each_part(x + row * c, c, [&](int first, int count, const real* xr) {
          for (int j = 0; j < p; j++) dots[j].add(dfi + int64_t{j} * c + first, xr, count);
        });
      real ds[kMaxParts], scaled[kMaxParts];
      for (int j = 0; j < p; j++) {
        const real m = masks[row * p + j], given = dmasks == nullptr ? 0 : dmasks[row * p + j];
        const real pooled = dfi == nullptr ? 0 : dots[j].total() * inverse_hw;
        ds[j] = (given + pooled) * m * (1 - m);
        scaled[j] = m * inverse_hw;
        db[j] += ds[j];
      }
      for_each_part(x + row * c, c, [&](int first, int count, const real* xr) {
        for (int j = 0; j < p; j++) add_scaled(ds[j], xr, count, dw + int64_t{j} * c + first);
        real sum[kRun] = {};
        for (int j = 0; j < p; j++) add_scaled(ds[j], w + int64_t{j} * c + first, count, sum);
        if (dfi != nullptr) {
          add_scaled(inverse_hw, dfi + int64_t{p} * c + first, count, sum);
          for (int j = 0; j < p; j++) add_scaled(scaled[j], dfi + int64_t{j} * c + first, count, sum);
        }
        Row<kRun> buffer;
        storage* const to = dx + row * c + first;
        real* row_dx = buffer.open(to, count, dx_write);
        for (int k = 0; k < count; k++) put(row_dx[k], sum[k], dx_write);
        buffer.save(to, count);
      });
    }
  }
}

}  // namespace mpanet::PRECISION::cpu
