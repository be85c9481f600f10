// Times the passes of an op's case, and their references (copy, vendor's library) in the same run.
#pragma once
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bench/op_report.h"
#include "tests/ops/op_run.h"
#ifdef MPANET_HAS_CUDA
#  include "kernels/cuda/vendor.h"
#endif

namespace mpanet {

enum class Pass { Forward, Backward };

class PassTimer {
 public:
  // seconds: time for each pass. with_kernels: also measures each kernel's fraction of a pass.
  PassTimer(Device device, const OpPrecision& precision, const NetworkSizes& sizes, double seconds, bool with_kernels);
  const DeviceRates& rates() const { return rates_; }
  // Times the forward pass, and the backward pass if there is one.
  std::vector<PassResult> time(size_t index, const OpName& op);

 private:
  using Instances = std::vector<std::unique_ptr<OpInstance>>;
  Instances make_instances(size_t index) const;
  Timing time_pass(const Instances& instances, Pass pass);
  double copy_seconds(double bytes);
  void time_vendor(size_t index, const OpCost& cost, Pass pass, PassResult& result);
  double onednn_seconds(const OpCost& cost);
  void note_kernels(OpInstance& instance, Pass pass, PassResult& result) const;

  OpPrecision precision_;
  NetworkSizes sizes_;
  double seconds_;
  bool with_kernels_;
  std::shared_ptr<StreamHandle> stream_;
  Context context_;  // of copies and library calls
  DeviceRates rates_;
  std::map<size_t, double> copies_;  // seconds by bytes
};

}  // namespace mpanet
