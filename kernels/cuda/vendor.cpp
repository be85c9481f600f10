#include "kernels/cuda/vendor.h"

#include <algorithm>

#include "kernels/cuda/runtime.h"
#include "kernels/cuda/stream.h"
#include "kernels/cuda/vendor_trial.h"

namespace mpanet::cuda {
namespace {

constexpr char kTag = 0;  // its address is the key of the settings in StreamState::shared

Vendors& settings_of(Stream stream) { return state_of(stream).get<Vendors>(&kTag); }

// The fastest of several calls after one warm-up call. Other work on the machine can only make calls slower.
double best_seconds(Stream stream, const std::function<void()>& work) {
  constexpr int kCalls = 5;
  double best = 0;
  work();
  for (int i = 0; i < kCalls; i++) {
    const std::shared_ptr<void> begin = mark(stream);
    work();
    const double time = seconds_between(stream, begin.get(), mark(stream).get());
    best = i == 0 ? time : std::min(best, time);
  }
  return best;
}

}  // namespace

#if defined(MPANET_HAS_CUDNN)
bool has_cudnn() { return true; }
#else
bool has_cudnn() { return false; }
#endif
#if defined(MPANET_HAS_CUBLAS)
bool has_cublas() { return true; }
#else
bool has_cublas() { return false; }
#endif

void set_vendors(Stream stream, const Vendors& vendors) {
  if (vendors.convolution == Provider::Vendor && !has_cudnn())
    fail("--conv cudnn: this build has no cuDNN (MPANET_CUDNN)");
  if (vendors.product == Provider::Vendor && !has_cublas())
    fail("--gemm cublas: this build has no cuBLAS (MPANET_CUBLAS)");
  settings_of(stream) = vendors;
}

const Vendors& vendors_of(Stream stream) { return settings_of(stream); }

bool library_is_faster(Stream stream, const std::string& shape, const std::string& library,
                       const std::function<void(bool with_library)>& run) {
  const double theirs = best_seconds(stream, [&] { run(true); });
  const double ours = best_seconds(stream, [&] { run(false); });
  settings_of(stream).choices[shape] = theirs < ours ? library : "native";
  return theirs < ours;
}

void note_native(Stream stream, const std::string& shape) { settings_of(stream).choices[shape] = "native"; }

}  // namespace mpanet::cuda
