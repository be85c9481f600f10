#include <limits>

#include "core/context.h"
#include "tests/ops/op_case.h"
#include "tests/ops/op_instance.h"
#include "tests/ops/op_run.h"
#include "tests/support/rows.h"

namespace mpanet::PRECISION {
namespace {

constexpr uint64_t kSeed = 20210620;

// Bits of the significand, with the leading one, and exponent of the smallest normal number.
template <class T>
struct Format {
  static constexpr int digits = std::numeric_limits<T>::digits, smallest = std::numeric_limits<T>::min_exponent - 1;
};
template <>
struct Format<bfloat16> {
  [[maybe_unused]] static constexpr int digits = 8, smallest = -126;
};
template <>
struct Format<float16> {
  [[maybe_unused]] static constexpr int digits = 11, smallest = -14;
};

constexpr double power_of_two(int exponent) {
  double value = 1;
  for (; exponent < 0; exponent++) value /= 2;
  return value;
}

double to_storage(double value) {
  return static_cast<double>(static_cast<real>(static_cast<storage>(static_cast<real>(value))));
}

const std::vector<OpCase>& all_cases() {
  static const std::vector<OpCase> cases = op_cases();
  return cases;
}

OpName name_of(const OpCase& c) {
  return {c.op,
          c.shapes,
          c.forward,
          c.backward,
          c.recording,
          c.intermediate_roundings,
          c.tolerance_factor,
          c.operand_roundings,
          c.computed_operands};
}

std::vector<OpName> names() {
  std::vector<OpName> names;
  for (const OpCase& c : all_cases()) names.push_back(name_of(c));
  return names;
}

std::vector<OpName> benchmarks(const NetworkSizes& sizes) {
  std::vector<OpName> names;
  for (const OpCase& c : benchmark_cases(sizes)) names.push_back(name_of(c));
  return names;
}

template <class T>
std::vector<double> wide(const std::vector<T>& values) {
  std::vector<double> wide;
  for (const T v : values) wide.push_back(static_cast<double>(static_cast<real>(v)));
  return wide;
}

class Run {
 public:
  Run(const OpCase& c, const OpSetting& setting)
      : context_(setting.device, setting.guards),
        in_(context_in(setting), kSeed, setting.rounding),
        rounding_(setting.rounding),
        recording_(c.recording),
        call_(c.make(in_)) {}

  OpResults results() {
    context_.set_recording(recording_);
    for (const bool add : {false, true})
      if (recording_ || !add) pass(add);
    for (const Parameter& p : in_.store().list())
      if (!p.trainable) {
        std::vector<real> values(static_cast<size_t>(p.count));
        context_.to_host(values.data(), p.value, values.size() * sizeof(real));
        results_.push_back({p.name, wide(values), false});
      }
    return std::move(results_);
  }

 private:
  Context& context_in(const OpSetting& setting) {
    context_.stream_handle()->set_tf32(setting.tf32);
    return context_;
  }

  std::vector<double> normals(int64_t count, uint32_t index) const {
    Random random(kSeed, Purpose::Test, 8, index);
    std::vector<double> values(static_cast<size_t>(count));
    for (double& v : values) v = rounding_(random.normal());
    return values;
  }

  // Outputs are tensors or logits, with elements of type T.
  template <class T, class Output>
  void finish(const std::vector<Output>& outputs, bool add) {
    for (const Output& y : outputs) {
      const uint32_t index = outputs_++;
      if (!add)
        results_.push_back({fmt::format("output {}", index), wide(values_of(context_, y)), std::is_same_v<T, storage>});
      if (!recording_) continue;
      std::vector<T> weights;
      for (const double w : normals(count_of(y), index)) weights.push_back(static_cast<T>(static_cast<real>(w)));
      const Write write = set_gradient(context_, y, weights);
      MPANET_CHECK(write == Write::Set, "one tensor occurs twice among the outputs");
    }
  }

  template <class T>
  void add_numbers(const char* name, const std::vector<TensorOf<T>>& tensors) {
    for (const TensorOf<T>& y : tensors) {
      const std::vector<T> values = y.to_host();
      results_.push_back({fmt::format("{} {}", name, outputs_++), {values.begin(), values.end()}, false});
    }
  }

  void pass(bool add) {
    std::vector<Leaf>& leaves = in_.leaves();
    for (size_t i = 0; i < leaves.size(); i++) {
      const auto preset = normals(static_cast<int64_t>(leaves[i].values.size()), static_cast<uint32_t>(1000 + i));
      leaves[i].begin(add ? &preset : nullptr);
    }
    outputs_ = 0;
    {
      const Outputs outputs = call_();
      finish<storage>(outputs.activations, add);
      finish<real>(outputs.values, add);
      finish<real>(outputs.logits, add);
      add_numbers("integers", outputs.indices);
      add_numbers("floats", outputs.floats);
      add_numbers("doubles", outputs.doubles);
      context_.tape().backward();
    }
    for (const Leaf& leaf : leaves) {
      results_.push_back({fmt::format("d({}){}", leaf.name, add ? " added" : ""), leaf.gradient(), leaf.stored});
      leaf.begin(nullptr);
    }
    context_.synchronize();  // checks the guard zones too
  }

  Context context_;
  Inputs in_;
  Rounding rounding_;
  bool recording_;
  Call call_;
  OpResults results_;
  uint32_t outputs_ = 0;
};

OpResults run(size_t index, const OpSetting& setting) { return Run(all_cases().at(index), setting).results(); }

#define TEXT_OF(name) #name
#define TEXT(name) TEXT_OF(name)

}  // namespace

const OpPrecision op_precision{TEXT(PRECISION),
                               power_of_two(-Format<storage>::digits),
                               power_of_two(-Format<real>::digits),
                               power_of_two(Format<storage>::smallest),
                               to_storage,
                               names,
                               run,
                               benchmarks,
                               make_instance,
                               sizeof(storage) == 2 ? 0x1p-11 : 0};

}  // namespace mpanet::PRECISION
