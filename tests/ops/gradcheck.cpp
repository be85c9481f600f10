// gradcheck: every op and loss, and a whole tiny network, against central differences in double.
//
// L = sum w y over a case's outputs y, with random weights w (the plain sum of a normalised tensor is constant). The
// backward pass's gradients of L are compared with (L(v + h d) - L(v - h d)) / 2h for every leaf v, where d are single
// elements and random directions in all elements. In addition:
//   a gradient that is 0 everywhere fails, because such a check would prove nothing
//   every backward pass runs twice, the second time adding to existing gradients (Write::Add)
//   tensors lie in a slab of exactly the planned size, filled with NaN before each pass, so unwritten memory shows
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>

#include "core/base/command_line.h"
#include "core/base/error.h"
#include "core/base/program.h"
#include "core/base/threads.h"
#include "mpanet/training/provenance.h"
#include "tests/ops/op_case.h"
#include "tests/support/rows.h"
#include "tests/support/worst.h"

namespace {

using namespace mpanet;
using namespace mpanet::f64;
using Values = std::vector<double>;

constexpr uint64_t kSeed = 20210620;
// In order of preference. At h = 2e-6 the error is 1e-12 times the third derivative plus 1e-16 L / h = 1e-10 L. Smaller
// steps are for points with a kink (ReLU, hinge, maximum) within the step; a wrong gradient agrees with none of them.
constexpr double kSteps[] = {2e-6, 2e-7, 2e-8};
constexpr int kDirections = 3;
constexpr double kVanished = 1e-5;  // L's derivatives are sums of terms near 1; smaller ones count as 0
constexpr char kReason[] =
    "rounding in L, near 1e-15, over twice the step of 2e-6 is near 1e-9; 100 times that for ops, 1000 for the network";

struct Result {
  Worst worst;
  int checked = 0, shrunk = 0;  // number of derivatives; of those, with a smaller step than the first
  std::string failure;          // empty: passed
};

double rms(const Values& values) {
  double sum = 0;
  for (const double v : values) sum += v * v;
  return std::sqrt(sum / static_cast<double>(values.size()));
}

double dot(const Values& a, const Values& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); i++) sum += a[i] * b[i];
  return sum;
}

Values normals(size_t count, uint32_t index) {
  Random random(kSeed, Purpose::Test, 8, index);
  Values values(count);
  for (double& v : values) v = random.normal();
  return values;
}

// Calls body(tensor, its weights) for every output.
template <class Body>
void each_output(const Outputs& outputs, const Body& body) {
  uint32_t index = 0;
  const auto visit = [&](const auto& tensors) {
    for (const auto& y : tensors) body(y, normals(static_cast<size_t>(count_of(y)), index++));
  };
  visit(outputs.activations);
  visit(outputs.values);
  visit(outputs.logits);
}

double weighted_loss(Context& context, const Call& call) {
  context.set_recording(false);
  long double sum = 0;
  each_output(call(), [&](const auto& y, const Values& weights) {
    const auto values = values_of(context, y);
    for (size_t i = 0; i < values.size(); i++) sum += static_cast<long double>(values[i]) * weights[i];
  });
  return static_cast<double>(sum);
}

uint32_t preset_index(size_t leaf) { return static_cast<uint32_t>(1000 + leaf); }

// The leaves' gradients from the backward pass. With `preset` the leaves have gradients before it, which are
// subtracted.
std::vector<Values> backward_gradients(Inputs& in, const Call& call, bool preset) {
  Context& context = in.context();
  context.set_recording(true);
  std::vector<Leaf>& leaves = in.leaves();
  for (size_t i = 0; i < leaves.size(); i++) {
    const Values numbers = normals(leaves[i].values.size(), preset_index(i));
    leaves[i].begin(preset ? &numbers : nullptr);
  }
  {
    const Outputs outputs = call();
    each_output(outputs, [&](const auto& y, const Values& weights) {
      const Write write = set_gradient(context, y, weights);
      MPANET_CHECK(write == Write::Set, "one tensor occurs twice among the outputs");
    });
    context.tape().backward();
  }
  std::vector<Values> gradients;
  for (size_t i = 0; i < leaves.size(); i++) {
    gradients.push_back(leaves[i].gradient());
    const Values numbers = normals(leaves[i].values.size(), preset_index(i));
    for (size_t k = 0; preset && k < numbers.size(); k++) gradients[i][k] -= numbers[k];
    leaves[i].begin(nullptr);
  }
  return gradients;
}

size_t planned_bytes(const OpCase& c, const std::shared_ptr<StreamHandle>& stream) {
  Context context(stream->device(), stream, Arena::Mode::Plan);
  Inputs in(context, kSeed);
  const Call call = c.make(in);
  for (const bool preset : {false, true}) backward_gradients(in, call, preset);
  weighted_loss(context, call);
  return context.arena().peak();
}

// Fills all of the slab that is not in use with NaN.
void poison(Context& context, size_t slab) {
  const Scratch<> rest(context, static_cast<int64_t>(slab - context.arena().used()));
  context.to_device(rest.data(), std::vector<char>(static_cast<size_t>(rest.count()), '\xff').data(),
                    static_cast<size_t>(rest.count()));
}

class Check {
 public:
  Check(const OpCase& c, Inputs& in, const Call& call) : case_(c), in_(in), call_(call) {}

  Result run(size_t slab) {
    poison(in_.context(), slab);
    const std::vector<Values> gradients = backward_gradients(in_, call_, false);
    poison(in_.context(), slab);
    const std::vector<Values> added = backward_gradients(in_, call_, true);
    poison(in_.context(), slab);
    omp_set_num_threads(1);  // the thousands of tiny calls below are not faster with more
    MPANET_CHECK(!in_.leaves().empty(), "nothing to check");
    for (size_t i = 0; i < in_.leaves().size(); i++) {
      const Leaf& leaf = in_.leaves()[i];
      compare_added(leaf, gradients[i], added[i]);
      compare_slopes(leaf, gradients[i]);
    }
    if (!result_.worst.within()) fail_with(result_.worst.where);
    return result_;
  }

 private:
  void fail_with(const std::string& what) {
    if (result_.failure.empty()) result_.failure = what;
  }

  // Tolerance 1e-12: adding to numbers near 1 rounds by 1e-16.
  void compare_added(const Leaf& leaf, const Values& set, const Values& added) {
    for (size_t k = 0; k < set.size(); k++)
      if (!(std::fabs(added[k] - set[k]) <= 1e-12 * (1 + std::fabs(set[k])))) {
        fail_with(fmt::format("{}[{}]: {} where it sets, {} where it adds", leaf.name, k, set[k], added[k]));
        return;
      }
  }

  // (L(v + h direction) - L(v - h direction)) / 2h
  double slope(const Leaf& leaf, const Values& direction, double h) {
    const auto at = [&](double step) {
      Values moved = leaf.values;
      for (size_t k = 0; k < moved.size(); k++) moved[k] += step * direction[k];
      leaf.write(moved);
      return weighted_loss(in_.context(), call_);
    };
    const double ahead = at(h), behind = at(-h);
    leaf.write(leaf.values);
    return (ahead - behind) / (2 * h);
  }

  void compare_slope(const Leaf& leaf, const Values& gradient, double unit, const Values& direction,
                     const std::string& where) {
    const double want = dot(gradient, direction);
    double best = std::numeric_limits<double>::infinity(), found = 0;
    for (const double h : kSteps) {
      const double got = slope(leaf, direction, h);
      const double scale = std::max(std::fabs(want) + unit, std::fabs(got));
      const double error = scale > 0 ? std::fabs(got - want) / scale : 0;
      if (!(error >= best)) best = error, found = got;
      if (error <= case_.tolerance) break;
      result_.shrunk += h == kSteps[0];
    }
    largest_ = std::max(largest_, std::fabs(found));
    result_.checked++;
    result_.worst.see(best, case_.tolerance,
                      [&] { return fmt::format("{}: backward {:.9g}, difference {:.9g}", where, want, found); });
  }

  void compare_slopes(const Leaf& leaf, const Values& gradient) {
    const size_t count = leaf.values.size(), samples = std::min(count, static_cast<size_t>(case_.samples));
    const double unit = rms(gradient);
    largest_ = 0;
    Random random(kSeed, Purpose::Test, 9, 0);
    for (size_t s = 0; s < samples; s++) {
      const size_t k = samples == count ? s : random.below(static_cast<uint32_t>(count));
      Values direction(count);
      direction[k] = 1;
      compare_slope(leaf, gradient, unit, direction, fmt::format("{}[{}]", leaf.name, k));
    }
    for (int d = 0; d < kDirections; d++) {
      Values direction(count);
      for (double& v : direction) v = (random.below(2) == 0 ? -1 : 1) / std::sqrt(static_cast<double>(count));
      compare_slope(leaf, gradient, unit, direction, fmt::format("{} in direction {}", leaf.name, d));
    }
    if (!(unit > kVanished && largest_ > kVanished))
      fail_with(fmt::format("{}: the gradient vanishes, the check proves nothing", leaf.name));
  }

  const OpCase& case_;
  Inputs& in_;
  const Call& call_;
  Result result_;
  double largest_ = 0;
};

Result check(const OpCase& c, Device device, int threads) {
  Result broken;
  try {
    omp_set_num_threads(threads);
    const auto stream = std::make_shared<StreamHandle>(device);
    const size_t slab = planned_bytes(c, stream);
    Context context(device, stream, slab);
    Inputs in(context, kSeed);
    const Call call = c.make(in);
    return Check(c, in, call).run(slab);
  } catch (const CheckError& error) {
    broken.failure = error.what();
  }
  return broken;
}

int run_cases(const std::vector<OpCase>& cases, Device device) {
  const int threads = omp_get_max_threads();
  int failed = 0;
  fmt::print("on {}: worst error of each op's gradients, relative to its size and to the tensor's root mean square\n",
             name_of(device));
  for (size_t i = 0; i < cases.size();) {
    const std::string& op = cases[i].op;
    Worst worst;
    int count = 0, checked = 0, shrunk = 0;
    double tolerance = 0;
    for (; i < cases.size() && cases[i].op == op; i++, count++) {
      const Result result = check(cases[i], device, threads);
      worst.see(result.worst.error, cases[i].tolerance, cases[i].shapes);
      checked += result.checked;
      shrunk += result.shrunk;
      tolerance = cases[i].tolerance;
      if (result.failure.empty()) continue;
      failed++;
      fmt::print("FAILED {} {}: {}\n", op, cases[i].shapes, result.failure);
    }
    fmt::print("{:20} {:3} cases {:6} derivatives, {} with a smaller step, worst {:.1e} of {:.0e} at {}\n", op, count,
               checked, shrunk, worst.error, tolerance, worst.where);
    std::fflush(stdout);
  }
  fmt::print("tolerance: {}\n{} of {} cases failed\n", kReason, failed, cases.size());
  return failed == 0 ? 0 : 1;
}

int gradcheck(int argc, char** argv) {
  CommandLine app(
      "Checks the gradients of every op and loss against central differences in double. Exit code 0: all within "
      "tolerance, 1: some are not.",
      "gradcheck");
  std::string device = "cpu", filter;
  bool list = false;
  app.add_option("--device", device, mpanet::kDeviceHelp)->capture_default_str();
  app.add_option("--filter", filter, "only cases whose op and shapes in --list contain TEXT")->type_name("TEXT");
  app.add_flag("--list", list, "print the cases and run none");
  app.add_version([] { return mpanet::version_text("gradcheck"); });
  if (const auto code = mpanet::parse_command_line(app, argc, argv)) return *code;
  std::vector<OpCase> cases = op_cases();
  std::erase_if(cases, [](const OpCase& c) { return !c.recording || !c.differences; });
  std::erase_if(cases, [&](const OpCase& c) { return (c.op + " " + c.shapes).find(filter) == std::string::npos; });
  if (cases.empty()) fail("--filter: expected text that occurs in --list, got {}", quote(filter));
  // Groups the cases by op, in the order of each op's first case.
  std::vector<std::string> order;
  for (const OpCase& c : cases)
    if (std::find(order.begin(), order.end(), c.op) == order.end()) order.push_back(c.op);
  const auto rank = [&](const OpCase& c) { return std::find(order.begin(), order.end(), c.op); };
  std::stable_sort(cases.begin(), cases.end(), [&](const auto& a, const auto& b) { return rank(a) < rank(b); });
  if (!list) set_up_threads(0);
  if (!list) return run_cases(cases, choose_device(device));
  for (const OpCase& c : cases)
    fmt::print("{} {}{}\n", c.op, c.shapes,
               c.forward.flops > 0 ? fmt::format(" ({:.0f} flop forward)", c.forward.flops) : "");
  return 0;
}

}  // namespace

int main(int argc, char** argv) { return mpanet::program_main("gradcheck", argc, argv, gradcheck); }
