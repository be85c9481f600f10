#include "bench/pass_timer.h"

#include <fmt/format.h>

#include "bench/onednn_calls.h"
#include "core/base/error.h"

namespace mpanet {
namespace {

// Enough instances that their memory exceeds the last-level cache several times, so that each call misses it.
constexpr size_t kMostInstances = 48, kCaches = 4;

Rounds rounds_of(const std::vector<std::unique_ptr<OpInstance>>& instances, Pass pass) {
  Rounds rounds;
  rounds.calls = static_cast<int>(instances.size());
  if (pass == Pass::Forward) {
    rounds.round = [&] {
      for (const auto& instance : instances) instance->forward();
    };
    return rounds;
  }
  rounds.prepare = [&] {
    for (const auto& instance : instances) instance->prepare_backward();
  };
  rounds.round = [&] {
    for (const auto& instance : instances) instance->backward();
  };
  return rounds;
}

// Seconds of one call of oneDNN, on enough instances to exceed the cache.
template <class Description>
double seconds_of_onednn(Context& context, const Description& description, size_t cache, double seconds) {
  std::vector<VendorCall> calls;
  size_t bytes = 0;
  do {
    calls.push_back(onednn_call(description));
    bytes += calls.back().bytes;
  } while (calls.size() < kMostInstances && bytes < kCaches * cache);
  const Rounds rounds{{},
                      [&] {
                        for (const VendorCall& call : calls) call.run();
                      },
                      static_cast<int>(calls.size())};
  return time_rounds(context, rounds, seconds).median;
}

}  // namespace

PassTimer::PassTimer(Device device, const OpPrecision& precision, const NetworkSizes& sizes, double seconds,
                     bool with_kernels)
    : precision_(precision),
      sizes_(sizes),
      seconds_(seconds),
      with_kernels_(with_kernels),
      stream_(stream_for(device, precision)),
      context_(device, stream_, Arena::Mode::Loose),
      rates_(device_rates(context_, precision.name)) {}

PassTimer::Instances PassTimer::make_instances(size_t index) const {
  Instances instances;
  do {
    instances.push_back(precision_.instance(sizes_, index, stream_, InstanceMode::Run));
  } while (instances.size() < kMostInstances && instances.size() * instances[0]->bytes() < kCaches * rates_.cache);
  return instances;
}

Timing PassTimer::time_pass(const Instances& instances, Pass pass) {
  return time_rounds(context_, rounds_of(instances, pass), seconds_);
}

// Seconds of the device's copy of the same number of bytes: half of them read, half written. Equal sizes are timed
// once.
double PassTimer::copy_seconds(double bytes) {
  const auto half = static_cast<size_t>(bytes / 2);
  const auto known = copies_.find(half);
  if (known != copies_.end()) return known->second;
  std::vector<std::pair<Buffer, Buffer>> copies;
  do {
    copies.emplace_back(Buffer(context_, half), Buffer(context_, half));
  } while (copies.size() < kMostInstances && copies.size() * 2 * half < kCaches * rates_.cache);
  const Rounds rounds{{},
                      [&] {
                        for (const auto& [to, from] : copies)
                          copy_memory(context_, to.as<void>(), from.as<void>(), half);
                      },
                      static_cast<int>(copies.size())};
  return copies_[half] = time_rounds(context_, rounds, seconds_ / 4).median;
}

double PassTimer::onednn_seconds(const OpCost& cost) {
  double seconds = 0;
  for (const ConvCall& call : cost.convolutions) seconds += seconds_of_onednn(context_, call, rates_.cache, seconds_);
  for (const ProductCall& call : cost.products) seconds += seconds_of_onednn(context_, call, rates_.cache, seconds_);
  return seconds;
}

void PassTimer::time_vendor(size_t index, const OpCost& cost, Pass pass, PassResult& result) {
  const bool convolution = !cost.convolutions.empty(), product = !cost.products.empty();
  if (!convolution && !product) return;
  const std::string precision = precision_.name;
  if (context_.backend() == Backend::cpu && precision == "f32" && onednn_call(ProductCall{false, false, 1, 1, 1}).run) {
    result.vendor = "oneDNN";
    result.vendor_seconds = onednn_seconds(cost);
  }
#ifdef MPANET_HAS_CUDA
  if (context_.backend() != Backend::cuda) return;
  if (convolution ? !cuda::has_cudnn() || precision == "f64" : !cuda::has_cublas()) return;
  const char* name = convolution ? "cuDNN" : "cuBLAS";
  try {
    // The same pass, with the library as provider.
    Vendors vendors;
    (convolution ? vendors.convolution : vendors.product) = Provider::Vendor;
    cuda::set_vendors(stream_->get(), vendors);
    result.vendor_seconds = time_pass(make_instances(index), pass).median;
    result.vendor = name;
  } catch (const UserError& error) {  // the library does not support it, or memory is too small
    result.note = fmt::format("{}: {}", name, error.what());
  }
  cuda::set_vendors(stream_->get(), {});
#else
  static_cast<void>(index);
  static_cast<void>(pass);
#endif
}

void PassTimer::note_kernels(OpInstance& instance, Pass pass, PassResult& result) const {
  Context& context = instance.context();
  if (pass == Pass::Backward) instance.prepare_backward();
  context.set_profiling(true);
  pass == Pass::Forward ? instance.forward() : instance.backward();
  context.set_profiling(false);
  const auto profile = context.take_profile();
  double total = 0;
  for (const auto& [kernel, statistics] : profile) total += statistics.seconds;
  for (const auto& [kernel, statistics] : profile) result.kernels[kernel] = statistics.seconds / total;
}

std::vector<PassResult> PassTimer::time(size_t index, const OpName& op) {
  std::vector<PassResult> results;
  Instances instances;
  for (const Pass pass : {Pass::Forward, Pass::Backward}) {
    if (pass == Pass::Backward && !op.recording) break;
    const OpCost& cost = pass == Pass::Forward ? op.forward : op.backward;
    PassResult result;
    result.op = op.op;
    result.pass = pass == Pass::Forward ? "forward" : "backward";
    result.shape = op.shapes;
    result.bytes = cost.bytes;
    result.flops = cost.flops;
    result.storage = cost.products.empty();
    try {
      if (instances.empty()) instances = make_instances(index);
      result.time = time_pass(instances, pass);
      if (with_kernels_) note_kernels(*instances[0], pass, result);
    } catch (const UserError& error) {  // the card's memory is too small
      result.note = error.what();
      results.push_back(result);
      break;
    }
    result.copy_seconds = copy_seconds(cost.bytes);
    time_vendor(index, cost, pass, result);
    results.push_back(result);
  }
  return results;
}

}  // namespace mpanet
