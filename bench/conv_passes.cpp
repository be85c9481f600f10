#include "bench/conv_passes.h"

#include <fmt/format.h>

#include <algorithm>

#include "bench/stopwatch.h"
#include "core/base/error.h"
#include "core/base/random.h"
#include "kernels/cuda/conv_tiles.h"
#include "kernels/kernels.h"
#ifdef MPANET_HAS_CUDA
#  include "kernels/cuda/vendor.h"
#endif

namespace mpanet::PRECISION {
namespace {

// A tensor of random normal numbers. Zeros would multiply faster, because they draw less power.
template <class T>
class Numbers {
 public:
  Numbers(Context& context, int64_t count, uint64_t seed) : buffer_(context, static_cast<size_t>(count) * sizeof(T)) {
    constexpr int64_t kDrawn = 1 << 20;
    std::vector<T> drawn(static_cast<size_t>(std::min(count, kDrawn)));
    Random random(seed, Purpose::Test, 0, 0);
    for (T& value : drawn) value = static_cast<T>(static_cast<real>(random.normal()));
    for (int64_t at = 0; at < count; at += kDrawn)
      context.to_device(data() + at, drawn.data(), static_cast<size_t>(std::min(kDrawn, count - at)) * sizeof(T));
  }
  T* data() const { return buffer_.template as<T>(); }

 private:
  Buffer buffer_;
};

int64_t up(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Every tile, and for weights numbers of splits that give a few blocks to each multiprocessor.
std::vector<ForcedPlan> every_plan(Context& context, const ConvShape& s, ConvPass pass) {
  const bool weights = pass == ConvPass::BackwardWeights;
  std::vector<ForcedPlan> plans;
  for (ForcedPlan& tile : ASK_BACKEND(context, conv_tiles(context.stream(), s, pass))) {
    constexpr int kProcessors = 132;
    const int64_t count = up(s.k, tile.tile_m) * up(int64_t{s.kh} * s.kw * s.c, tile.tile_n);
    int last = 0;
    for (const int waves : {1, 2, 3, 4, 6}) {
      tile.splits = weights ? std::max(1, static_cast<int>(waves * kProcessors / count)) : 1;
      if (tile.splits > last) plans.push_back(tile);
      last = tile.splits;
    }
  }
  return plans;
}

std::string text(const ForcedPlan& plan) {
  std::string text =
      fmt::format("{} {}x{}", plan.loop == ConvLoop::Wgmma ? "wgmma" : "mma.sync", plan.tile_m, plan.tile_n);
  if (plan.splits > 1) text += fmt::format(", {} splits", plan.splits);
  return text;
}

class Timer {
 public:
  Timer(const ConvPasses& o, const ConvShape& s, ConvPass pass)
      : context_(o.device),
        s_(s),
        pass_(pass),
        seconds_(o.seconds),
        x_(context_, s.input_count(), 1),
        w_(context_, s.weight_count(), 2),
        y_(context_, s.output_count(), 3),
        z_(context_, s.input_count(), 4),
        dw_(context_, s.weight_count(), 5),
        mean_(context_, s.c, 6),
        signs_(context_, static_cast<size_t>(s.input_count() / 8 + 1)) {
    context_.stream_handle()->set_tf32(o.tf32);
  }

  PlanTime time(const std::string& plan, bool sums) {
    PlanTime result{plan, {}, {}};
    try {
      const size_t bytes = ASK_BACKEND(context_, conv_workspace_bytes(context_.stream(), s_, pass_));
      const Buffer work(context_, bytes);
      EpilogueSums parts;
      if (sums && pass_ != ConvPass::BackwardWeights)
        parts = ASK_BACKEND(context_, conv_epilogue_sums(context_.stream(), s_, pass_));
      const int columns = pass_ == ConvPass::Forward ? s_.k : s_.c;
      const Buffer sums_to(context_,
                           static_cast<size_t>(parts.parts) * 2 * static_cast<size_t>(columns) * sizeof(real));
      if (parts.available) result.plan += " + sums";
      // Recorded calls, as in training: what a call costs the host does not count.
      constexpr int kCalls = 4;
      const auto call = [&] { run(work.as<void>(), parts.available ? sums_to.as<real>() : nullptr); };
      call();
      const CapturedWork calls = context_.capture([&] {
        for (int i = 0; i < kCalls; i++) call();
      });
      const Rounds rounds{{}, [&] { context_.replay(calls); }, kCalls};
      result.seconds = time_rounds(context_, rounds, seconds_).median;
    } catch (const std::exception& error) {
      result.note = error.what();
    }
    return result;
  }
  Context& context() { return context_; }

 private:
  void run(void* work, real* sums) {
    const Stream stream = context_.stream();
    if (pass_ == ConvPass::Forward)
      RUN_ON(context_, conv_forward(stream, s_, x_.data(), w_.data(), nullptr, {.moments = sums}, y_.data(), work));
    if (pass_ == ConvPass::BackwardData) {
      GradEpilogue epilogue;
      if (sums != nullptr)
        epilogue = {
            .signs = signs_.as<uint8_t>(), .z = {z_.data(), nullptr}, .mean = {mean_.data(), nullptr}, .sums = sums};
      RUN_ON(context_,
             conv_backward_data(stream, s_, y_.data(), w_.data(), nullptr, x_.data(), Write::Set, work, epilogue));
    }
    if (pass_ == ConvPass::BackwardWeights)
      RUN_ON(context_, conv_backward_weights(stream, s_, x_.data(), y_.data(), dw_.data(), Write::Set, work));
  }

  Context context_;
  ConvShape s_;
  ConvPass pass_;
  double seconds_;
  Numbers<storage> x_, w_, y_, z_;
  Numbers<real> dw_, mean_;
  Buffer signs_;
};

}  // namespace

std::vector<PlanTime> time_pass(const ConvPasses& o, const ConvShape& shape, ConvPass pass) {
  Timer timer(o, shape, pass);
  std::vector<PlanTime> times{timer.time("chosen", true)};
  if (pass != ConvPass::BackwardWeights) times.push_back(timer.time("chosen", false));
  if (o.every_plan)
    for (const ForcedPlan& plan : every_plan(timer.context(), shape, pass)) {
      force_plan(plan);
      times.push_back(timer.time(text(plan), true));
      force_plan({});
    }
#ifdef MPANET_HAS_CUDA
  if (::mpanet::cuda::has_cudnn() && sizeof(real) == 4) {
    Vendors vendors;
    vendors.convolution = Provider::Vendor;
    ::mpanet::cuda::set_vendors(timer.context().stream(), vendors);
    times.push_back(timer.time("cuDNN", false));
    ::mpanet::cuda::set_vendors(timer.context().stream(), {});
  }
#endif
  return times;
}

}  // namespace mpanet::PRECISION
