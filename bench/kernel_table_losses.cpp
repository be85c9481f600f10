// Losses: n rows of d features or of k classes.
#include "bench/kernel_table.h"

namespace mpanet::PRECISION {
namespace {

struct Sizes {
  int n, d, k;
  double features() const { return kReal * n * d; }  // bytes
  double logits() const { return kReal * n * k; }
  std::string metric() const { return fmt::format("{} x {}", n, d); }
  std::string classes() const { return fmt::format("{} x {}", n, k); }
};

const real kMargin = real(0.2);

struct ClusterBuffers {
  int32_t *group, *size;
  real *centers, *pull, *gap, *loss;
};

void add_center_cluster(Table& table, const Sizes& s) {
  const auto forward = [s](const Inputs& in, const real* f, const ClusterBuffers& b) -> Call {
    const int32_t* labels = in.labels(s.n, s.k);
    void* workspace = in.workspace(ASK(metric_workspace_bytes(s.n, s.d)));
    return CALL(center_cluster_forward(stream, f, labels, s.n, s.d, kMargin, b.group, b.size, b.centers, b.pull, b.gap,
                                       b.loss, workspace));
  };
  const auto buffers = [s](const Inputs& in) -> ClusterBuffers {
    return {in.space<int32_t>(s.n),
            in.space<int32_t>(s.n),
            in.space<real>(int64_t{s.n} * s.d),
            in.space<real>(s.n),
            in.space<real>(int64_t{s.n} * s.n),
            in.space<real>(1)};
  };
  table.add("center_cluster_forward", s.metric(), 1.25 * s.features(),
            [=](const Inputs& in) -> Call { return forward(in, in.values<real>(int64_t{s.n} * s.d), buffers(in)); });
  table.add("center_cluster_backward", s.metric(), 2.25 * s.features(), [=](const Inputs& in) -> Call {
    const real* f = in.values<real>(int64_t{s.n} * s.d);
    const ClusterBuffers b = buffers(in);
    forward(in, f, b)();
    const real* dloss = in.scalar(1);
    real* df = in.space<real>(int64_t{s.n} * s.d);
    return CALL(center_cluster_backward(stream, dloss, f, s.n, s.d, kMargin, b.group, b.size, b.centers, b.pull, b.gap,
                                        Rows{0, s.n}, df, Write::Set));
  });
}

void add_triplet(Table& table, const Sizes& s) {
  const auto forward = [s](const Inputs& in, const real* f, real* distance, int32_t* hardest) -> Call {
    const int32_t* labels = in.labels(s.n, s.k);
    real* loss = in.space<real>(1);
    void* workspace = in.workspace(ASK(metric_workspace_bytes(s.n, s.d)));
    return CALL(triplet_forward(stream, f, labels, s.n, s.d, kMargin, distance, hardest, loss, workspace));
  };
  table.add("triplet_forward", s.metric(), s.features(), [=](const Inputs& in) -> Call {
    return forward(in, in.values<real>(int64_t{s.n} * s.d), in.space<real>(int64_t{s.n} * s.n),
                   in.space<int32_t>(2 * s.n));
  });
  table.add("triplet_backward", s.metric(), 2 * s.features(), [=](const Inputs& in) -> Call {
    const real* f = in.values<real>(int64_t{s.n} * s.d);
    real* distance = in.space<real>(int64_t{s.n} * s.n);
    int32_t* hardest = in.space<int32_t>(2 * s.n);
    forward(in, f, distance, hardest)();
    const real* dloss = in.scalar(1);
    real* df = in.space<real>(int64_t{s.n} * s.d);
    return CALL(triplet_backward(stream, dloss, f, s.n, s.d, kMargin, distance, hardest, Rows{0, s.n}, df, Write::Set));
  });
}

void add_center_loss(Table& table, const Sizes& s) {
  const double centers = kReal * s.k * s.d;
  table.add("center_loss_forward", s.metric(), s.features() * 1.25, [=](const Inputs& in) -> Call {
    const real* f = in.values<real>(int64_t{s.n} * s.d);
    const real* c = in.values<real>(int64_t{s.k} * s.d);
    const int32_t* labels = in.labels(s.n, s.k);
    real* loss = in.space<real>(1);
    void* workspace = in.workspace(ASK(metric_workspace_bytes(s.n, s.d)));
    return CALL(center_loss_forward(stream, f, c, labels, s.n, s.d, s.k, loss, workspace));
  });
  table.add("center_loss_backward", s.metric(), s.features() * 2.25 + centers, [=](const Inputs& in) -> Call {
    const real* dloss = in.scalar(1);
    const real* f = in.values<real>(int64_t{s.n} * s.d);
    const real* c = in.values<real>(int64_t{s.k} * s.d);
    const int32_t* labels = in.labels(s.n, s.k);
    real* df = in.space<real>(int64_t{s.n} * s.d);
    real* dcenters = in.space<real>(int64_t{s.k} * s.d);
    return CALL(center_loss_backward(stream, dloss, f, c, labels, s.n, s.d, s.k, df, Write::Set, dcenters, Write::Set));
  });
}

void add_cross_entropy(Table& table, const Sizes& s) {
  table.add("cross_entropy_forward", s.classes(), s.logits(), [=](const Inputs& in) -> Call {
    const real* logits = in.values<real>(int64_t{s.n} * s.k, -4, 4);
    const int32_t* labels = in.labels(s.n, s.k);
    real* lse = in.space<real>(s.n);
    real* loss = in.space<real>(1);
    return CALL(cross_entropy_forward(stream, logits, labels, nullptr, 0, s.n, s.k, lse, loss));
  });
  table.add("cross_entropy_backward", s.classes(), 2 * s.logits(), [=](const Inputs& in) -> Call {
    const real* dloss = in.scalar(1);
    const real* logits = in.values<real>(int64_t{s.n} * s.k, -4, 4);
    const int32_t* labels = in.labels(s.n, s.k);
    const real* lse = in.values<real>(s.n, 8, 9);
    real* dlogits = in.space<real>(int64_t{s.n} * s.k);
    return CALL(cross_entropy_backward(stream, dloss, logits, lse, labels, nullptr, 0, s.n, s.k, dlogits, Write::Set));
  });
}

void add_mutual_kl(Table& table, const Sizes& s) {
  // A row reads its own modality's live logits and the other's teacher; the gradients of both classifiers are written.
  const auto logits = [s](const Inputs& in) { return in.values<real>(int64_t{s.n} * s.k, -4, 4); };
  table.add("mutual_kl_forward", s.classes(), 2 * s.logits(), [=](const Inputs& in) -> Call {
    const real *lv = logits(in), *li = logits(in), *tv = logits(in), *ti = logits(in);
    const uint8_t* infrared = in.infrared(s.n);
    real* kept = in.space<real>(3 * s.n);
    real* loss = in.space<real>(1);
    return CALL(mutual_kl_forward(stream, lv, li, tv, ti, infrared, s.n, s.k, kept, loss));
  });
  table.add("mutual_kl_backward", s.classes(), 4 * s.logits(), [=](const Inputs& in) -> Call {
    const real* dloss = in.scalar(1);
    const real *lv = logits(in), *li = logits(in), *tv = logits(in), *ti = logits(in);
    const uint8_t* infrared = in.infrared(s.n);
    const real* kept = in.values<real>(3 * s.n, 8, 9);
    real* dv = in.space<real>(int64_t{s.n} * s.k);
    real* di = in.space<real>(int64_t{s.n} * s.k);
    return CALL(
        mutual_kl_backward(stream, dloss, lv, li, tv, ti, infrared, s.n, s.k, kept, dv, Write::Set, di, Write::Set));
  });
}

void add_weighted_sum(Table& table) {
  constexpr int kTerms = 6;
  table.add("weighted_sum_forward", fmt::format("{} terms", kTerms), kReal * (kTerms + 1),
            [=](const Inputs& in) -> Call {
              Terms terms;
              for (int i = 0; i < kTerms; i++) {
                terms.value[i] = in.scalar(i);
                terms.weight[i] = real(0.5);
              }
              terms.count = kTerms;
              real* total = in.space<real>(1);
              return CALL(weighted_sum_forward(stream, terms, total));
            });
  table.add("weighted_sum_backward", "1 term", kReal * 2, [=](const Inputs& in) -> Call {
    const real* dtotal = in.scalar(1);
    real* dvalue = in.space<real>(1);
    return CALL(weighted_sum_backward(stream, dtotal, real(0.5), dvalue, Write::Set));
  });
}

}  // namespace

void add_losses(Table& table, const KernelSizes& z) {
  const Sizes s{z.samples, z.features(), z.identities()};
  add_center_cluster(table, s);
  add_cross_entropy(table, s);
  add_mutual_kl(table, s);
  add_triplet(table, s);
  add_center_loss(table, s);
  add_weighted_sum(table);
}

}  // namespace mpanet::PRECISION
