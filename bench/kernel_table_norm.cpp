// Batch norm, instance norm with the modality alleviation blend, channel attention.
#include "bench/kernel_table.h"

namespace mpanet::PRECISION {
namespace {

constexpr double kEps = 1e-5;

// rows of c channels after a convolution; the wide ones end a block: their norm adds the residual.
struct NormShape {
  int64_t rows;
  int c;
  bool residual;
};

std::vector<NormShape> norm_shapes(const KernelSizes& z) {
  std::vector<NormShape> list;
  for (const ConvShape& s : backbone_convolutions(z)) {
    const NormShape shape{s.output_count() / s.k, s.k, s.k == 4 * s.c};
    bool known = false;
    for (const NormShape& other : list) known = known || (other.rows == shape.rows && other.c == shape.c);
    if (!known) list.push_back(shape);
  }
  return list;
}

struct Statistics {
  real *mean, *variance, *weight, *bias;
};
Statistics statistics_of(const Inputs& in, int c) {
  return {in.values<real>(c, -0.1, 0.1), in.values<real>(c, 0.5, 1.5), in.values<real>(c, 0.5, 1.5),
          in.values<real>(c, -0.1, 0.1)};
}

void add_batch_norm(Table& table, const NormShape& s) {
  const int64_t rows = s.rows, count = rows * s.c;
  const int c = s.c;
  const bool residual = s.residual;
  const double pass = kStorage * static_cast<double>(count);  // bytes of one tensor
  const std::string plain = fmt::format("{} x {}", rows, c), shape = plain + (residual ? ", residual, relu" : ", relu");
  table.add("batch_norm_statistics", plain, pass, [=](const Inputs& in) -> Call {
    const storage* x = in.values<storage>(count);
    const Statistics t = statistics_of(in, c);
    real* running_mean = in.space<real>(c);
    real* running_variance = in.space<real>(c);
    void* workspace = in.workspace(ASK(batch_norm_workspace_bytes(rows, c)));
    return CALL(batch_norm_statistics(stream, x, rows, c, real(0.1), t.mean, t.variance, running_mean, running_variance,
                                      workspace));
  });
  table.add("batch_norm_apply", shape, (residual ? 3 : 2) * pass, [=](const Inputs& in) -> Call {
    const storage* x = in.values<storage>(count);
    const storage* other = residual ? in.values<storage>(count) : nullptr;
    const Statistics t = statistics_of(in, c);
    storage* y = in.space<storage>(count);
    return CALL(batch_norm_apply(stream, x, rows, c, t.mean, t.variance, real(kEps), t.weight, t.bias, other, true, y));
  });
  table.add("batch_norm_backward_reduce", plain + ", relu", 3 * pass, [=](const Inputs& in) -> Call {
    const storage* dy = in.values<storage>(count);
    const storage* x = in.values<storage>(count);
    const storage* y = in.values<storage>(count);
    const Statistics t = statistics_of(in, c);
    real* sum_g = in.space<real>(c);
    real* sum_gn = in.space<real>(c);
    void* workspace = in.workspace(ASK(batch_norm_workspace_bytes(rows, c)));
    return CALL(batch_norm_backward_reduce(stream, dy, x, y, rows, c, t.mean, t.variance, real(kEps), sum_g, sum_gn,
                                           workspace));
  });
  table.add("batch_norm_backward_apply", shape, (residual ? 5 : 4) * pass, [=](const Inputs& in) -> Call {
    const storage* dy = in.values<storage>(count);
    const storage* x = in.values<storage>(count);
    const storage* y = in.values<storage>(count);
    const Statistics t = statistics_of(in, c);
    const real* sum_g = in.values<real>(c);
    const real* sum_gn = in.values<real>(c);
    storage* dx = in.space<storage>(count);
    storage* dresidual = residual ? in.space<storage>(count) : nullptr;
    return CALL(batch_norm_backward_apply(stream, dy, x, y, rows, c, t.mean, t.variance, real(kEps), t.weight, sum_g,
                                          sum_gn, dx, Write::Set, dresidual, Write::Set));
  });
}

void add_feature_norm(Table& table, int n, int d) {
  const std::string shape = fmt::format("{} x {}", n, d);
  const int64_t count = int64_t{n} * d;
  const double pass = kReal * static_cast<double>(count);
  table.add("feature_norm_forward", shape, 2 * pass, [=](const Inputs& in) -> Call {
    const real* f = in.values<real>(count);
    const Statistics t = statistics_of(in, d);
    real* running_mean = in.space<real>(d);
    real* running_variance = in.space<real>(d);
    real* g = in.space<real>(count);
    return CALL(feature_norm_forward(stream, f, n, d, true, real(kEps), real(0.1), t.weight, t.bias, running_mean,
                                     running_variance, t.mean, t.variance, g));
  });
  table.add("feature_norm_backward", shape, 3 * pass, [=](const Inputs& in) -> Call {
    const real* dg = in.values<real>(count);
    const real* f = in.values<real>(count);
    const Statistics t = statistics_of(in, d);
    real* df = in.space<real>(count);
    real* dweight = in.space<real>(d);
    real* dbias = in.space<real>(d);
    return CALL(feature_norm_backward(stream, dg, f, n, d, true, t.weight, t.mean, t.variance, df, Write::Set, dweight,
                                      Write::Set, dbias, Write::Set));
  });
}

// The module after layer3 and after layer4.
void add_instance_norm(Table& table, int n, int hw, int c) {
  const std::string shape = fmt::format("{} x {} x {}", n, hw, c);
  const int64_t count = int64_t{n} * hw * c, nc = int64_t{n} * c;
  const double pass = kStorage * static_cast<double>(count), vector = kReal * static_cast<double>(nc);
  table.add("instance_norm_statistics", shape, pass + 2 * vector, [=](const Inputs& in) -> Call {
    const storage* x = in.values<storage>(count);
    real* mean = in.space<real>(nc);
    real* rstd = in.space<real>(nc);
    return CALL(instance_norm_statistics(stream, x, n, hw, c, real(kEps), mean, rstd));
  });
  table.add("instance_norm_blend", shape, 2 * pass + 3 * vector, [=](const Inputs& in) -> Call {
    const storage* x = in.values<storage>(count);
    const real* mean = in.values<real>(nc);
    const real* rstd = in.values<real>(nc, 0.5, 1.5);
    const real* mask = in.values<real>(nc, 0, 1);
    storage* y = in.space<storage>(count);
    return CALL(instance_norm_blend(stream, x, n, hw, c, mean, rstd, mask, y));
  });
  table.add("instance_norm_backward_reduce", shape, 2 * pass + 4 * vector, [=](const Inputs& in) -> Call {
    const storage* dy = in.values<storage>(count);
    const storage* x = in.values<storage>(count);
    const real* mean = in.values<real>(nc);
    const real* rstd = in.values<real>(nc, 0.5, 1.5);
    real* sum_dy = in.space<real>(nc);
    real* sum_dyn = in.space<real>(nc);
    return CALL(instance_norm_backward_reduce(stream, dy, x, n, hw, c, mean, rstd, sum_dy, sum_dyn));
  });
  table.add("instance_norm_backward_apply", shape, 3 * pass + 6 * vector, [=](const Inputs& in) -> Call {
    const storage* dy = in.values<storage>(count);
    const storage* x = in.values<storage>(count);
    const real* mean = in.values<real>(nc);
    const real* rstd = in.values<real>(nc, 0.5, 1.5);
    const real* mask = in.values<real>(nc, 0, 1);
    const real* sum_dy = in.values<real>(nc);
    const real* sum_dyn = in.values<real>(nc);
    const real* dpooled = in.values<real>(nc);
    storage* dx = in.space<storage>(count);
    return CALL(instance_norm_backward_apply(stream, dy, x, n, hw, c, mean, rstd, mask, sum_dy, sum_dyn, dpooled, dx,
                                             Write::Set));
  });
  table.add("mam_backward_mask", fmt::format("{} x {}", n, c), 5 * vector, [=](const Inputs& in) -> Call {
    const real* mean = in.values<real>(nc);
    const real* rstd = in.values<real>(nc, 0.5, 1.5);
    const real* sum_dy = in.values<real>(nc);
    const real* sum_dyn = in.values<real>(nc);
    real* dmask = in.space<real>(nc);
    return CALL(mam_backward_mask(stream, nc, mean, rstd, sum_dy, sum_dyn, dmask));
  });
}

void add_channel_attention(Table& table, int n, int c, int h) {
  const std::string shape = fmt::format("{} x {}, hidden {}", n, c, h);
  const int64_t nc = int64_t{n} * c, nh = int64_t{n} * h, weights = int64_t{c} * h;
  const auto bytes = [](int64_t count) { return kReal * static_cast<double>(count); };
  table.add("channel_attention_forward", shape, bytes(2 * nc + nh + 2 * weights), [=](const Inputs& in) -> Call {
    const real* pooled = in.values<real>(nc);
    const real* w1 = in.values<real>(weights, -0.1, 0.1);
    const real* w2 = in.values<real>(weights, -0.1, 0.1);
    real* hidden = in.space<real>(nh);
    real* mask = in.space<real>(nc);
    void* workspace = in.workspace(ASK(channel_attention_workspace_bytes(in.context().stream(), n, c, h)));
    return CALL(channel_attention_forward(stream, pooled, w1, w2, n, c, h, hidden, mask, workspace));
  });
  table.add("channel_attention_backward", shape, bytes(4 * nc + nh + 4 * weights), [=](const Inputs& in) -> Call {
    const real* dmask = in.values<real>(nc);
    const real* mask = in.values<real>(nc, 0, 1);
    const real* hidden = in.values<real>(nh);
    const real* pooled = in.values<real>(nc);
    const real* w1 = in.values<real>(weights, -0.1, 0.1);
    const real* w2 = in.values<real>(weights, -0.1, 0.1);
    real* dpooled = in.space<real>(nc);
    real* dw1 = in.space<real>(weights);
    real* dw2 = in.space<real>(weights);
    void* workspace = in.workspace(ASK(channel_attention_workspace_bytes(in.context().stream(), n, c, h)));
    return CALL(channel_attention_backward(stream, dmask, mask, hidden, pooled, w1, w2, n, c, h, dpooled, dw1,
                                           Write::Set, dw2, Write::Set, workspace));
  });
}

}  // namespace

void add_batch_norms(Table& table, const KernelSizes& z) {
  for (const NormShape& s : norm_shapes(z)) add_batch_norm(table, s);
  const int c = z.channels(2048);
  table.add("batch_norm_fold", std::to_string(c), kReal * 6 * c, [=](const Inputs& in) -> Call {
    const Statistics t = statistics_of(in, c);
    real* scale = in.space<real>(c);
    real* shift = in.space<real>(c);
    return CALL(batch_norm_fold(stream, c, t.mean, t.variance, real(kEps), t.weight, t.bias, scale, shift));
  });
  add_feature_norm(table, z.samples, z.features());
}

void add_instance_norms(Table& table, const KernelSizes& z) {
  for (const int c : {z.channels(1024), z.channels(2048)}) {
    add_instance_norm(table, z.batch, z.height / 16 * (z.width / 16), c);
    add_channel_attention(table, z.batch, c, c < 64 ? c : c / 16);
  }
}

}  // namespace mpanet::PRECISION
