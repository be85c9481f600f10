// opcheck: every op and loss on a device against the cpu backend, in each precision.
//
// Each case runs forward and backward, with gradients once set and once added to existing numbers. Inputs are rounded
// to the storage type. Every result is compared with the cpu backend on the same inputs: in the same precision, in
// double, and for bf16, f16 and tf32 in rounded double. Every tensor, parameter and workspace lies between guard zones
// of NaN: a read out of range shows in the result, and a write out of range is found. Then the case runs again, under
// the emulation with another order of warps and blocks each time. Every run must give the same bits.
//
// op_compare.h has the bounds.
#include <algorithm>
#include <cstdio>
#include <cstring>

#include "core/base/command_line.h"
#include "core/base/error.h"
#include "core/base/program.h"
#include "core/base/threads.h"
#include "kernels/emu/control.h"
#include "mpanet/training/provenance.h"
#include "tests/ops/op_compare.h"
#include "tests/support/rounded_network.h"

namespace {

using namespace mpanet;

struct Options {
  Device device;
  Guards guards = Guards::On;
  int seeds = 1;
};

// The first element whose bits differ, as text; empty if there is none.
std::string first_difference(const OpResults& a, const OpResults& b) {
  for (size_t t = 0; t < a.size(); t++)
    for (size_t i = 0; i < a[t].values.size(); i++)
      if (std::memcmp(&a[t].values[i], &b[t].values[i], sizeof(double)) != 0)
        return fmt::format("{}[{}]: {:.17g} at first, {:.17g}", a[t].name, i, a[t].values[i], b[t].values[i]);
  return {};
}

// Whether the precision rounds more than sums, so that there is a rounded reference.
bool rounds(const OpPrecision& p) { return p.storage_unit != p.real_unit || p.operand_unit > 0; }

// Runs the case on the device and as its references, and compares them.
Comparison check(const OpPrecision& p, size_t index, const OpName& op, const Options& o) {
  Comparison comparison;
  const auto run = [&](const OpPrecision& precision, Device device) {
    return precision.run(index, {device, p.rounding, o.guards, precision.operand_unit > 0});
  };
  try {
    simt::set_seed(0);
    const OpResults got = run(p, o.device);
    References references;
    if (o.device != Device(Backend::cpu)) references.same = run(p, Backend::cpu);
    references.exact = run(f64::op_precision, Backend::cpu);
    if (rounds(p)) {
      const Precision precision = parse_precision(p.name, "precision");
      rounded::set_rounding(rounding_of(precision),
                            operand_rounding_of(p.operand_unit > 0 ? precision : Precision::f32));
      references.rounded = run(rounded::op_precision, Backend::cpu);
    }
    comparison = compare(p, op, got, references);
    // As in training steps (tests/support/step_check.cpp).
    const size_t more = deep(op) && rounds(p) ? perturbed_runs(parse_precision(p.name, "precision")) : 0;
    for (size_t i = 0; i < more && !comparison.rounded.within(); i++) {
      perturb_roundings(kPerturbations[i]);
      references.perturbed.push_back(run(rounded::op_precision, Backend::cpu));
      perturb_roundings(0);
      comparison = compare(p, op, got, references);
    }
    // A whole network is slow, and each of its kernels has cases of its own: fewer runs.
    const int runs = deep(op) ? std::min(o.seeds, 3) : o.seeds;
    for (int seed = 1; seed < runs && comparison.failure.empty(); seed++) {
      simt::set_seed(static_cast<uint32_t>(seed));
      const std::string difference = first_difference(got, run(p, o.device));
      if (!difference.empty()) comparison.failure = fmt::format("{} with schedule {}", difference, seed);
    }
  } catch (const std::exception& error) {
    comparison.failure = error.what();
  }
  return comparison;
}

int run_cases(const OpPrecision& p, const std::vector<size_t>& chosen, const Options& o) {
  const std::vector<OpName> all = p.names();
  const bool on_cpu = o.device == Device(Backend::cpu);
  int failed = 0, tensors = 0, gradients = 0;
  fmt::print("{} on {}, {} run{} of each case: worst fraction of the tolerance against {}double{}\n", p.name,
             name_of(o.device), o.seeds, o.seeds == 1 ? "" : "s",
             on_cpu      ? ""
             : rounds(p) ? "the cpu, "
                         : "the cpu and ",
             rounds(p) ? " and rounded double" : "");
  for (size_t i = 0; i < chosen.size();) {
    const std::string& op = all[chosen[i]].op;
    Worst same, exact, rounded;
    int count = 0;
    for (; i < chosen.size() && all[chosen[i]].op == op; i++, count++) {
      const OpName& name = all[chosen[i]];
      Comparison comparison = check(p, chosen[i], name, o);
      for (Worst* worst : {&comparison.same, &comparison.exact, &comparison.rounded})
        worst->where = name.shapes + ": " + worst->where;
      same.see(comparison.same);
      exact.see(comparison.exact);
      rounded.see(comparison.rounded);
      tensors += comparison.tensors;
      gradients += comparison.gradients;
      if (comparison.failure.empty()) continue;
      failed++;
      fmt::print("FAILED {} {}: {}\n", op, name.shapes, comparison.failure);
    }
    Worst worst = same;
    worst.see(exact);
    worst.see(rounded);
    fmt::print("{:20} {:3} cases, cpu {:.2f}, double {:.2f}, rounded {:.2f} at {}\n", op, count, same.ratio,
               exact.ratio, rounded.ratio, worst.where);
    std::fflush(stdout);
  }
  fmt::print("{} tensors compared, {} of them gradients\n{} of {} cases failed\n", tensors, gradients, failed,
             chosen.size());
  return failed == 0 ? 0 : 1;
}

// The indices of the cases that `filter` selects, grouped by op, in the order of each op's first case.
std::vector<size_t> choose(const std::vector<OpName>& all, const std::string& filter) {
  std::vector<size_t> chosen;
  for (size_t i = 0; i < all.size(); i++)
    if ((all[i].op + " " + all[i].shapes).find(filter) != std::string::npos) chosen.push_back(i);
  const auto first = [&](size_t i) {
    return std::find_if(all.begin(), all.end(), [&](const OpName& o) { return o.op == all[i].op; });
  };
  std::stable_sort(chosen.begin(), chosen.end(), [&](size_t a, size_t b) { return first(a) < first(b); });
  return chosen;
}

int opcheck(int argc, char** argv) {
  CommandLine app(
      "Runs every op and loss on a device and compares outputs and gradients with the cpu backend in the same "
      "precision and in double. Exit code 0: all within tolerance, 1: some are not.",
      "opcheck");
  std::string device = "cpu", precision = "f32", filter;
  Options o;
  bool list = false, bare = false;
  app.add_option("--device", device, kDeviceHelp)->capture_default_str();
  app.add_option("--precision", precision, "f64, f32, tf32, bf16 or f16")
      ->one_of({"f64", "f32", "tf32", "bf16", "f16"})
      ->capture_default_str();
  add_whole_number(app, "--seeds", o.seeds, 1, 1000,
                   "runs of each case, on emu each under a schedule of its own; all bits must agree");
  app.add_option("--filter", filter, "only cases whose op and shapes in --list contain TEXT")->type_name("TEXT");
  app.add_flag("--bare", bare, "no guard zones round blocks of memory: a sanitizer sees where they end");
  app.add_flag("--list", list, "print the cases and run none");
  app.add_version([] { return version_text("opcheck"); });
  if (const auto code = parse_command_line(app, argc, argv)) return *code;
  const std::vector<OpName> names = op_precision_of(precision).names();
  const std::vector<size_t> chosen = choose(names, filter);
  if (chosen.empty()) fail("--filter: expected text that occurs in --list, got {}", quote(filter));
  if (!list) {
    set_up_threads(0);
    o.device = choose_device(device);
    o.guards = bare ? Guards::Off : Guards::On;
    return run_cases(op_precision_on(o.device, precision), chosen, o);
  }
  for (const size_t i : chosen) fmt::print("{} {}\n", names[i].op, names[i].shapes);
  return 0;
}

}  // namespace

int main(int argc, char** argv) { return mpanet::program_main("opcheck", argc, argv, opcheck); }
