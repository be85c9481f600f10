// What runs over all parameters at once, casts and layouts, and evaluation.
#include "bench/kernel_table.h"

namespace mpanet::PRECISION {
namespace {

// A training step in the middle of a run.
const StepState* step_state(const Inputs& in) {
  StepState state;
  state.learning_rate = 1e-4;
  state.teacher_rate = 0.2;
  state.step = 100;
  return in.upload<StepState>({state});
}

void add_optimizers(Table& table, int64_t count, int64_t classifier) {
  const std::string shape = std::to_string(count);
  const double pass = kReal * static_cast<double>(count);
  table.add("adam_step", shape, 7 * pass, [=](const Inputs& in) -> Call {
    const StepState* state = step_state(in);
    const real* gradient = in.values<real>(count);
    real* first = in.values<real>(count);
    real* second = in.values<real>(count, 0.5, 1);
    real* value = in.values<real>(count);
    return CALL(adam_step(stream, state, AdamSettings{}, gradient, first, second, value, count));
  });
  table.add("sgd_step", shape, 5 * pass, [=](const Inputs& in) -> Call {
    const StepState* state = step_state(in);
    const real* gradient = in.values<real>(count);
    real* momentum = in.values<real>(count);
    real* value = in.values<real>(count);
    return CALL(sgd_step(stream, state, SgdSettings{}, gradient, momentum, value, count));
  });
  table.add("teacher_update", std::to_string(classifier), 3 * kReal * static_cast<double>(classifier),
            [=](const Inputs& in) -> Call {
              const StepState* state = step_state(in);
              const real* live = in.values<real>(classifier);
              real* teacher = in.values<real>(classifier);
              return CALL(teacher_update(stream, state, live, teacher, classifier));
            });
}

void add_flat(Table& table, int64_t count) {
  const std::string shape = std::to_string(count);
  const double n = static_cast<double>(count), pass = kReal * n;
  table.add("cast_to_storage", shape, pass + kStorage * n, [=](const Inputs& in) -> Call {
    const real* from = in.values<real>(count);
    storage* to = in.space<storage>(count);
    return CALL(cast_to_storage(stream, from, to, count));
  });
  table.add("set_value", shape, pass, [=](const Inputs& in) -> Call {
    real* to = in.space<real>(count);
    return CALL(set_value(stream, to, count, real(0.5)));
  });
  table.add("accumulate", shape + ", added", 3 * pass, [=](const Inputs& in) -> Call {
    const real* from = in.values<real>(count);
    real* to = in.space<real>(count);
    return CALL(accumulate(stream, from, to, count, Write::Add));
  });
  table.add("l2_norm", shape, pass, [=](const Inputs& in) -> Call {
    const real* x = in.values<real>(count);
    real* norm = in.space<real>(1);
    void* workspace = in.workspace(ASK(l2_norm_workspace_bytes(count)));
    return CALL(l2_norm(stream, x, count, norm, workspace));
  });
  table.add("scale", shape, 2 * pass, [=](const Inputs& in) -> Call {
    real* x = in.values<real>(count);
    return CALL(scale(stream, x, count, real(0.999)));
  });
  table.add("check_finite", shape, pass, [=](const Inputs& in) -> Call {
    const real* x = in.values<real>(count);
    int32_t* finite = in.space<int32_t>(1);
    return CALL(check_finite(stream, x, count, finite));
  });
}

}  // namespace

void add_parameters(Table& table, const KernelSizes& z) {
  add_optimizers(table, z.parameters(), int64_t{z.identities()} * z.features());
  add_flat(table, z.parameters());
  const int64_t pixels = int64_t{z.batch} * z.height * z.width * 3;
  table.add("cast_images", fmt::format("{}x{}x{}x3", z.batch, z.height, z.width),
            (sizeof(float) + kStorage) * static_cast<double>(pixels), [=](const Inputs& in) -> Call {
              const float* from = in.values<float>(pixels);
              storage* to = in.space<storage>(pixels);
              return CALL(cast_images(stream, from, to, pixels));
            });
  const int c = z.channels(512);
  const int64_t count = int64_t{9} * c * c;
  table.add("transpose", fmt::format("{} of {} x 9", c, c), 2 * kReal * static_cast<double>(count),
            [=](const Inputs& in) -> Call {
              const real* from = in.values<real>(count);
              real* to = in.space<real>(count);
              return CALL(transpose(stream, from, c, c, 9, to));
            });
}

void add_evaluation(Table& table, const KernelSizes& z) {
  const int queries = z.queries(), gallery = z.gallery(), d = z.features();
  const int64_t pairs = int64_t{queries} * gallery;
  const std::string shape = fmt::format("{} x {}", queries, gallery);
  const double pass = kReal * static_cast<double>(pairs);
  table.add("squared_norms", fmt::format("{} x {}", queries, d), kReal * queries * (d + 1.0),
            [=](const Inputs& in) -> Call {
              const real* x = in.values<real>(int64_t{queries} * d);
              real* norms = in.space<real>(queries);
              return CALL(squared_norms(stream, x, queries, d, norms));
            });
  table.add("squared_distances", shape, 2 * pass, [=](const Inputs& in) -> Call {
    const real* q = in.values<real>(queries, 1, 2);
    const real* g = in.values<real>(gallery, 1, 2);
    real* distance = in.values<real>(pairs);
    return CALL(squared_distances(stream, q, g, queries, gallery, distance));
  });
  table.add("rank", shape, pass + 4.0 * static_cast<double>(pairs), [=](const Inputs& in) -> Call {
    const real* distance = in.values<real>(pairs);
    int32_t* order = in.space<int32_t>(pairs);
    void* workspace = in.workspace(ASK(rank_workspace_bytes(queries, gallery)));
    return CALL(rank(stream, distance, queries, gallery, order, workspace));
  });
}

}  // namespace mpanet::PRECISION
