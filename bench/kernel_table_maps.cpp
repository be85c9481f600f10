// ReLU, pooling, and the pattern maps.
#include "bench/kernel_table.h"

namespace mpanet::PRECISION {

void add_pooling(Table& table, const KernelSizes& z) {
  const int c = z.channels(64);
  const PoolShape s{z.batch, z.height / 2, z.width / 2, c};
  const int64_t count = s.input_count(), pooled = s.output_count();
  const double pass = kStorage * static_cast<double>(count), out = static_cast<double>(pooled);
  const std::string shape = fmt::format("{}x{}x{}x{}", s.n, s.h, s.w, s.c);
  table.add("relu_forward", shape, 2 * pass, [=](const Inputs& in) -> Call {
    const storage* x = in.values<storage>(count);
    storage* y = in.space<storage>(count);
    return CALL(relu_forward(stream, x, y, count));
  });
  table.add("relu_backward", shape, 3 * pass, [=](const Inputs& in) -> Call {
    const storage* dy = in.values<storage>(count);
    const storage* y = in.values<storage>(count);
    storage* dx = in.space<storage>(count);
    return CALL(relu_backward(stream, dy, y, dx, count, Write::Set));
  });
  table.add("max_pool_forward", shape, pass + (kStorage + 1) * out, [=](const Inputs& in) -> Call {
    const storage* x = in.values<storage>(count);
    storage* y = in.space<storage>(pooled);
    uint8_t* winner = in.space<uint8_t>(pooled);
    return CALL(max_pool_forward(stream, s, x, y, winner));
  });
  table.add("max_pool_backward", shape, pass + (kStorage + 1) * out, [=](const Inputs& in) -> Call {
    const storage* dy = in.values<storage>(pooled);
    const storage* x = in.values<storage>(count);
    storage* y = in.space<storage>(pooled);
    uint8_t* winner = in.space<uint8_t>(pooled);
    ON_BACKEND(in.context().backend(), max_pool_forward(in.context().stream(), s, x, y, winner));
    storage* dx = in.space<storage>(count);
    return CALL(max_pool_backward(stream, s, dy, winner, dx, Write::Set));
  });
  const int n = z.batch, hw = z.height / 16 * (z.width / 16), wide = z.channels(2048);
  const int64_t maps = int64_t{n} * hw * wide, vectors = int64_t{n} * wide;
  const double bytes = kStorage * static_cast<double>(maps) + kReal * static_cast<double>(vectors);
  const std::string tail = fmt::format("{} x {} x {}", n, hw, wide);
  table.add("mean_pool_forward", tail, bytes, [=](const Inputs& in) -> Call {
    const storage* x = in.values<storage>(maps);
    real* y = in.space<real>(vectors);
    return CALL(mean_pool_forward(stream, x, n, hw, wide, y));
  });
  table.add("mean_pool_backward", tail, bytes, [=](const Inputs& in) -> Call {
    const real* dy = in.values<real>(vectors);
    storage* dx = in.space<storage>(maps);
    return CALL(mean_pool_backward(stream, dy, n, hw, wide, dx, Write::Set));
  });
}

void add_patterns(Table& table, const KernelSizes& z) {
  const int n = z.batch, hw = z.height / 16 * (z.width / 16), c = z.channels(2048), p = KernelSizes::parts;
  const int64_t rows = int64_t{n} * hw, count = rows * c, masked = rows * p, features = int64_t{n} * (p + 1) * c;
  const double pass = kStorage * static_cast<double>(count), mask_bytes = kReal * static_cast<double>(masked),
               feature_bytes = kReal * static_cast<double>(features), weight_bytes = kReal * p * c;
  const std::string shape = fmt::format("{} x {} x {}, {} parts", n, hw, c, p);
  const std::string maps = fmt::format("{} x {} x {}", n, hw, p);
  table.add("sigmoid_forward", maps, 2 * mask_bytes, [=](const Inputs& in) -> Call {
    const real* x = in.values<real>(masked);
    real* y = in.space<real>(masked);
    return CALL(sigmoid_forward(stream, x, y, masked));
  });
  table.add("sigmoid_backward", maps, 3 * mask_bytes, [=](const Inputs& in) -> Call {
    const real* dy = in.values<real>(masked);
    const real* y = in.values<real>(masked, 0, 1);
    real* dx = in.space<real>(masked);
    return CALL(sigmoid_backward(stream, dy, y, dx, masked, Write::Set));
  });
  table.add("pattern_maps_forward", shape, pass + mask_bytes + weight_bytes, [=](const Inputs& in) -> Call {
    const storage* x = in.values<storage>(count);
    const real* w = in.values<real>(int64_t{p} * c, -0.1, 0.1);
    const real* b = in.values<real>(p);
    real* masks = in.space<real>(masked);
    return CALL(pattern_maps_forward(stream, x, w, b, rows, c, p, masks));
  });
  table.add("pattern_maps_backward", shape, 2 * pass + 2 * mask_bytes + 2 * weight_bytes,
            [=](const Inputs& in) -> Call {
              const real* dmasks = in.values<real>(masked);
              const real* masks = in.values<real>(masked, 0, 1);
              const storage* x = in.values<storage>(count);
              const real* w = in.values<real>(int64_t{p} * c, -0.1, 0.1);
              storage* dx = in.space<storage>(count);
              real* dw = in.space<real>(int64_t{p} * c);
              real* db = in.space<real>(p);
              void* workspace = in.workspace(ASK(pattern_maps_workspace_bytes(rows, c, p)));
              return CALL(pattern_maps_backward(stream, dmasks, masks, x, w, rows, c, p, dx, Write::Set, dw, Write::Set,
                                                db, Write::Set, workspace));
            });
  table.add("pattern_pool_forward", shape, pass + mask_bytes + feature_bytes, [=](const Inputs& in) -> Call {
    const storage* x = in.values<storage>(count);
    const real* masks = in.values<real>(masked, 0, 1);
    real* f = in.space<real>(features);
    return CALL(pattern_pool_forward(stream, x, masks, n, hw, c, p, f));
  });
  table.add("pattern_pool_backward", shape, 2 * pass + 2 * mask_bytes + feature_bytes, [=](const Inputs& in) -> Call {
    const real* df = in.values<real>(features);
    const storage* x = in.values<storage>(count);
    const real* masks = in.values<real>(masked, 0, 1);
    storage* dx = in.space<storage>(count);
    real* dmasks = in.space<real>(masked);
    return CALL(pattern_pool_backward(stream, df, x, masks, n, hw, c, p, dx, Write::Set, dmasks, Write::Set));
  });
  table.add("separation_forward", maps, mask_bytes, [=](const Inputs& in) -> Call {
    const real* masks = in.values<real>(masked, 0, 1);
    real* loss = in.space<real>(1);
    void* workspace = in.workspace(ASK(separation_workspace_bytes(n, hw, p)));
    return CALL(separation_forward(stream, masks, n, hw, p, loss, workspace));
  });
  table.add("separation_backward", maps, 2 * mask_bytes, [=](const Inputs& in) -> Call {
    const real* masks = in.values<real>(masked, 0, 1);
    const real* dloss = in.scalar(1);
    real* dmasks = in.space<real>(masked);
    return CALL(separation_backward(stream, dloss, masks, n, hw, p, dmasks, Write::Set));
  });
}

}  // namespace mpanet::PRECISION
