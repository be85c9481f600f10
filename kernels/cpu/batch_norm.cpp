// Batch norm over the rows of (rows, c), c contiguous. It is bound by memory, so each pass reads x once.
//
// Sums over rows run in tiles of whole rows that fit in the L2 cache. The size of tiles depends only on (rows, c), and
// tiles are merged in order, in double, so results do not depend on the number of threads.
//   statistics   per tile two passes, m = mean and M2 = sum (x - m)^2; merged by Chan's formula:
//                M2 = M2_a + M2_b + (m_b - m_a)^2 n_a n_b / (n_a + n_b)
//                Means are stored minus row 0: with means far from zero, rounding would dominate (m_b - m_a)^2.
//   backward     per tile sum g and sum g (x - mean)
#include <cmath>
#include <type_traits>

#include "core/base/error.h"
#include "kernels/cpu/convert.h"
#include "kernels/cpu/rows.h"
#include "kernels/kernels.h"

namespace mpanet::PRECISION::cpu {
namespace {

constexpr int64_t kTileElements = 1 << 16;
constexpr int64_t kMostRows = 256;  // of a tile; longer sums have larger rounding errors
constexpr int kSlice = 256;         // channels that are summed at once
constexpr int kWide = 1024;         // channels whose coefficients fit in the L1 cache

int64_t tile_rows(int c) { return std::clamp<int64_t>(kTileElements / c, 1, kMostRows); }
int64_t tile_count(int64_t rows, int c) { return divide_up(rows, tile_rows(c)); }

// Runs body(first row, row count, first channel, channel count, tile) for each tile and slice of channels.
template <class Body>
void for_each_tile(int64_t rows, int c, const Body& body) {
  const int64_t tiles = tile_count(rows, c), height = tile_rows(c);
#pragma omp parallel for schedule(static) if (rows * c > kSerialCount)
  for (int64_t tile = 0; tile < tiles; tile++)
    for (int first = 0; first < c; first += kSlice)
      body(tile * height, std::min(height, rows - tile * height), first, std::min(kSlice, c - first), tile);
}

// Runs body(index of the first element, count, coefficients) for each row, up to kWide channels at a time. Each thread
// has its own array of N coefficients per channel, which fill(first channel, count, coefficients) writes.
template <int N, class Fill, class Body>
void for_each_row(int64_t rows, int c, const Fill& fill, const Body& body) {
  constexpr int64_t kRows = 64;
#pragma omp parallel if (rows * c > kSerialCount)
  {
    alignas(64) real coefficients[N][kWide];
    for (int first = 0; first < c; first += kWide) {
      const int count = std::min(kWide, c - first);
      fill(first, count, coefficients);
#pragma omp for schedule(static) nowait
      for (int64_t block = 0; block < divide_up(rows, kRows); block++)
        for (int64_t row = block * kRows; row < std::min(rows, (block + 1) * kRows); row++)
          body(row * c + first, count, coefficients);
    }
  }
}

// Mean and M2 of kSlice channels, merged from those of tiles.
struct Moments {
  double count = 0, mean[kSlice] = {}, m2[kSlice] = {};

  void merge(int64_t rows, const real* tile_mean, const real* tile_m2, int width) {
    const auto n = static_cast<double>(rows);
    const double fraction = n / (count + n), weight = count * fraction;
    for (int j = 0; j < width; j++) {
      const double delta = tile_mean[j] - mean[j];
      mean[j] += delta * fraction;
      m2[j] += tile_m2[j] + delta * delta * weight;
    }
    count += n;
  }
};

void update_running(real* running, double value, real momentum) {
  *running = static_cast<real>((1.0 - momentum) * *running + static_cast<double>(momentum) * value);
}

// Calls body(std::true_type or std::false_type).
template <class Body>
void with_constant(bool value, const Body& body) {
  if (value)
    body(std::true_type{});
  else
    body(std::false_type{});
}

}  // namespace

size_t batch_norm_workspace_bytes(int64_t rows, int c) {
  return static_cast<size_t>(tile_count(rows, c)) * static_cast<size_t>(c) * 2 * sizeof(real);
}

void batch_norm_statistics(Stream, const storage* x, int64_t rows, int c, real momentum, real* mean, real* variance,
                           real* running_mean, real* running_variance, void* workspace) {
  MPANET_CHECK(running_variance == nullptr || rows > 1, "expected more than one row for the unbiased variance, got {}",
               rows);
  real* partial = static_cast<real*>(workspace);  // (tiles, 2, c)
  for_each_tile(rows, c, [&](int64_t row, int64_t count, int first, int width, int64_t tile) {
    const storage* from = x + row * c + first;
    real pivot[kSlice], mean_of_tile[kSlice] = {}, squares[kSlice] = {};
    Row<kSlice> buffer;
    for (int j = 0; j < width; j++) pivot[j] = load(x[first + j]);
    for (int64_t i = 0; i < count; i++) {
      const real* row_x = buffer.read(from + i * c, width);
#pragma omp simd
      for (int j = 0; j < width; j++) mean_of_tile[j] += row_x[j] - pivot[j];
    }
    for (int j = 0; j < width; j++) mean_of_tile[j] /= static_cast<real>(count);
    for (int64_t i = 0; i < count; i++) {
      const real* row_x = buffer.read(from + i * c, width);
#pragma omp simd
      for (int j = 0; j < width; j++) {
        const real d = row_x[j] - pivot[j] - mean_of_tile[j];
        squares[j] += d * d;
      }
    }
    std::copy_n(mean_of_tile, width, partial + tile * 2 * c + first);
    std::copy_n(squares, width, partial + tile * 2 * c + c + first);
  });
  const int64_t tiles = tile_count(rows, c), height = tile_rows(c);
#pragma omp parallel for schedule(static) if (tiles * c > kSerialCount)
  for (int slice = 0; slice < static_cast<int>(divide_up(c, kSlice)); slice++) {
    const int first = slice * kSlice, width = std::min(kSlice, c - first);
    Moments moments;
    for (int64_t tile = 0; tile < tiles; tile++) {
      const real* from = partial + tile * 2 * c + first;
      moments.merge(std::min(height, rows - tile * height), from, from + c, width);
    }
    for (int j = 0; j < width; j++) {
      const double center = static_cast<double>(load(x[first + j])) + moments.mean[j];
      mean[first + j] = static_cast<real>(center);
      variance[first + j] = static_cast<real>(moments.m2[j] / moments.count);
      if (running_mean != nullptr) update_running(running_mean + first + j, center, momentum);
      if (running_variance != nullptr)
        update_running(running_variance + first + j, moments.m2[j] / (moments.count - 1), momentum);
    }
  }
}

// This backend has neither joined norms nor sums from a convolution's epilogue.
NormFeatures batch_norm_features() { return {}; }
EpilogueSums conv_epilogue_sums(Stream, const ConvShape&, ConvPass) { return {}; }
void batch_norm_finish_statistics(Stream, const NormStatistics*, int, real) {
  MPANET_CHECK(false, "expected what conv_epilogue_sums() says");
}
void batch_norm_finish_gradients(Stream, const real*, const EpilogueSums&, int, real, const NormInput&,
                                 const NormGradient&, const NormInput&, const NormGradient&, real*) {
  MPANET_CHECK(false, "expected what conv_epilogue_sums() says");
}

void batch_norm_apply(Stream, int64_t rows, int c, real eps, const NormInput& norm, const NormInput& joined,
                      const storage* residual, bool relu, storage* y, uint8_t* signs) {
  MPANET_CHECK(joined.x == nullptr && signs == nullptr, "expected what batch_norm_features() says");
  const storage* const x = norm.x;
  const auto fill = [&](int first, int count, real(*k)[kWide]) {
    for (int j = 0; j < count; j++) {
      k[0][j] = norm.mean[first + j];
      k[1][j] = norm.weight[first + j] / std::sqrt(norm.variance[first + j] + eps);
      k[2][j] = norm.bias[first + j];
    }
  };
  with_constant(relu, [&](auto with_relu) {
    with_constant(residual != nullptr, [&](auto with_residual) {
      for_each_row<3>(rows, c, fill, [&](int64_t at, int count, const real(*k)[kWide]) {
        Row<kWide> buffer_x, buffer_residual, buffer_y;
        const real* row_x = buffer_x.read(x + at, count);
        const real* row_residual = with_residual ? buffer_residual.read(residual + at, count) : nullptr;
        real* row_y = buffer_y.open(y + at, count, Write::Set);
#pragma omp simd
        for (int j = 0; j < count; j++) {
          real value = (row_x[j] - k[0][j]) * k[1][j] + k[2][j];
          if constexpr (with_residual) value += row_residual[j];
          if constexpr (with_relu) value = rectify(value);
          row_y[j] = value;
        }
        buffer_y.save(y + at, count);
      });
    });
  });
}

void batch_norm_backward_reduce(Stream, const storage* dy, const ReluMask& mask, int64_t rows, int c, real eps,
                                const NormInput& norm, const NormGradient& to, const NormInput& joined,
                                const NormGradient&, real* sum_g, void* workspace) {
  MPANET_CHECK(joined.x == nullptr && mask.signs == nullptr, "expected what batch_norm_features() says");
  const storage *const x = norm.x, *const y = mask.y;
  real* partial = static_cast<real*>(workspace);  // (tiles, 2, c)
  with_constant(y != nullptr, [&](auto with_relu) {
    for_each_tile(rows, c, [&](int64_t row, int64_t count, int first, int width, int64_t tile) {
      real sum[kSlice] = {}, product[kSlice] = {}, center[kSlice];
      for (int j = 0; j < width; j++) center[j] = norm.mean[first + j];
      Row<kSlice> buffer_dy, buffer_y, buffer_x;
      for (int64_t i = row; i < row + count; i++) {
        const int64_t at = i * c + first;
        const real *row_dy = buffer_dy.read(dy + at, width), *row_x = buffer_x.read(x + at, width);
        const real* row_y = with_relu ? buffer_y.read(y + at, width) : nullptr;
#pragma omp simd
        for (int j = 0; j < width; j++) {
          real g = row_dy[j];
          if constexpr (with_relu) g = row_y[j] > 0 ? g : real{0};
          sum[j] += g;
          product[j] += g * (row_x[j] - center[j]);
        }
      }
      std::copy_n(sum, width, partial + tile * 2 * c + first);
      std::copy_n(product, width, partial + tile * 2 * c + c + first);
    });
  });
  const int64_t tiles = tile_count(rows, c);
#pragma omp parallel for schedule(static) if (tiles * c > kSerialCount)
  for (int slice = 0; slice < static_cast<int>(divide_up(c, kSlice)); slice++) {
    const int first = slice * kSlice, width = std::min(kSlice, c - first);
    double sum[kSlice] = {}, product[kSlice] = {};
    for (int64_t tile = 0; tile < tiles; tile++) {
      const real* from = partial + tile * 2 * c + first;
      for (int j = 0; j < width; j++) {
        sum[j] += from[j];
        product[j] += from[c + j];
      }
    }
    for (int j = 0; j < width; j++) {
      const int channel = first + j;
      sum_g[channel] = static_cast<real>(sum[j]);
      to.sum_gn[channel] = static_cast<real>(product[j] / std::sqrt(static_cast<double>(norm.variance[channel] + eps)));
      if (to.dbias != nullptr) put(to.dbias[channel], sum_g[channel], to.dbias_write);
      if (to.dweight != nullptr) put(to.dweight[channel], to.sum_gn[channel], to.dweight_write);
    }
  }
}

void batch_norm_backward_apply(Stream, const storage* dy, const ReluMask& mask, int64_t rows, int c, real eps,
                               const NormInput& norm, const NormGradient& to, const NormInput& joined,
                               const NormGradient&, const real* sum_g, storage* dresidual, Write dresidual_write) {
  MPANET_CHECK(joined.x == nullptr && mask.signs == nullptr, "expected what batch_norm_features() says");
  const storage *const x = norm.x, *const y = mask.y;
  storage* const dx = to.dx;
  const real inverse_rows = real{1} / static_cast<real>(rows);
  const auto fill = [&](int first, int count, real(*k)[kWide]) {
    for (int j = 0; j < count; j++) {
      const int channel = first + j;
      const real rstd = real{1} / std::sqrt(norm.variance[channel] + eps);
      k[0][j] = norm.weight[channel] * rstd;
      k[1][j] = sum_g != nullptr ? sum_g[channel] * inverse_rows : real{0};
      k[2][j] = norm.mean[channel];
      k[3][j] = sum_g != nullptr ? rstd * to.sum_gn[channel] * inverse_rows : real{0};
    }
  };
  with_constant(y != nullptr, [&](auto with_relu) {
    const auto body = [&](auto add, auto add_residual) {
      constexpr Write kWrite = add ? Write::Add : Write::Set, kResidualWrite = add_residual ? Write::Add : Write::Set;
      for_each_row<4>(rows, c, fill, [&](int64_t at, int count, const real(*k)[kWide]) {
        Row<kWide> buffer_dy, buffer_y, buffer_x, buffer_to;
        const real *row_dy = buffer_dy.read(dy + at, count), *row_x = buffer_x.read(x + at, count);
        const real* row_y = with_relu ? buffer_y.read(y + at, count) : nullptr;
        const auto g = [&](int j) {
          const real value = row_dy[j];  // read unconditionally, so that the loops have no branch
          if constexpr (with_relu) return row_y[j] > 0 ? value : real{0};
          return value;
        };
        real* to_x = buffer_to.open(dx + at, count, kWrite);
#pragma omp simd
        for (int j = 0; j < count; j++)
          put(to_x[j], k[0][j] * (g(j) - k[1][j] - (row_x[j] - k[2][j]) * k[3][j]), kWrite);
        buffer_to.save(dx + at, count);
        if (dresidual == nullptr) return;  // written after dx, because dresidual may be dy
        real* to_residual = buffer_to.open(dresidual + at, count, kResidualWrite);
#pragma omp simd
        for (int j = 0; j < count; j++) put(to_residual[j], g(j), kResidualWrite);
        buffer_to.save(dresidual + at, count);
      });
    };
    with_constant(to.dx_write == Write::Add, [&](auto add) {
      with_constant(dresidual_write == Write::Add, [&](auto add_residual) { body(add, add_residual); });
    });
  });
}

void batch_norm_fold(Stream, int c, const real* mean, const real* variance, real eps, const real* weight,
                     const real* bias, real* scale, real* shift) {
  for (int j = 0; j < c; j++) {
    scale[j] = weight[j] / std::sqrt(variance[j] + eps);
    shift[j] = bias[j] - mean[j] * scale[j];
  }
}

}  // namespace mpanet::PRECISION::cpu
