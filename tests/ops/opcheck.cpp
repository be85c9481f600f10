// opcheck: every op and loss on a device against the cpu backend, in each precision.
//
// Each case runs forward and backward, the gradients once set and once added to numbers that are there, and every
// result is compared twice: with the cpu backend in the same precision, and with the cpu backend in double on the same
// inputs, which are rounded to the storage type before either sees them. Every tensor, parameter and workspace lies
// between guard zones: they hold NaN, so that a read out of range shows in the result, and a write into them fails.
// Then the case runs again, on the emulation in another order of warps and blocks each time: every run must give the
// same bits.
//
// What a result may differ from its truth t by, u being half the distance of two neighbours (2^-8 in bf16, 2^-11 in
// f16, 2^-24 in float, 2^-53 in double), rms the root mean square of the whole tensor:
//   u_storage |t|               for the one rounding of what is stored
//   64 u_real (|t| + rms)       sums of hundreds of terms in another order, exp and log a few u off
//   4 b u_storage (|t| + rms)   for each of the b tensors that the op itself rounds on its way (OpCase::between)
// the last two times OpCase::harder. Compared with the same precision, where both sides round, twice that. The norm of
// all differences must stay within 0.6 of the norm of what is allowed when there are 64 or more: roundings are spread,
// faults are not. Where a ReLU follows a rounding, single elements lie on the other side of its kink than in double:
// about b u_storage of all, each off by as much as t. Where that is more than one in a million only the norm is
// compared with double's, and allowed 2 sqrt(b u_storage); after ten roundings and more with the same
// precision's, too, which rounds nearly everything alike, and allowed a third of that.
// Where even that would be more than 0.7, a whole network in bf16, gradients are compared with the same precision
// alone.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>

#include "core/base/command_line.h"
#include "core/base/error.h"
#include "core/base/program.h"
#include "core/base/threads.h"
#include "kernels/emu/control.h"
#include "tests/ops/op_run.h"
#include "tests/support/worst.h"

namespace {

using namespace mpanet;

double norm(const std::vector<double>& values) {
  double sum = 0;
  for (const double v : values) sum += v * v;
  return std::sqrt(sum);
}

// How far apart a tensor and its truth may lie.
class Allowed {
 public:
  Allowed(const OpPrecision& p, const OpName& op, const OpTensor& truth, double sides)
      : p_(p),
        between_(op.between),
        harder_(op.harder),
        stored_(truth.stored),
        sides_(sides),
        rms_(norm(truth.values) / std::sqrt(static_cast<double>(truth.values.size()))) {}

  double at(double truth) const {
    const double size = std::fabs(truth) + rms_;
    return sides_ * ((stored_ ? p_.storage_unit * std::max(std::fabs(truth), p_.storage_smallest) : 0) +
                     harder_ * (64 * p_.real_unit + 4 * between_ * p_.storage_unit) * size);
  }

 private:
  const OpPrecision& p_;
  int between_;
  double harder_;
  bool stored_;
  double sides_, rms_;
};

// What the norm may be off by where elements may lie on the other side of a kink; 0: none does.
double kink(const OpPrecision& p, const OpName& op, int least) {
  const double share = op.between * p.storage_unit;
  return op.between >= least && share > 1e-6 ? 2 * std::sqrt(share) : 0;
}

// Compares one tensor element by element and as a whole.
void compare(const OpTensor& got, const OpTensor& truth, const Allowed& allowed, double kink, const std::string& with,
             Worst& worst) {
  const size_t count = truth.values.size();
  if (got.values.size() != count || got.name != truth.name)
    return worst.see(
        NAN, 1, fmt::format("{} has {} elements, {} {} has {}", got.name, got.values.size(), with, truth.name, count));
  double errors = 0, allowances = 0;
  for (size_t i = 0; i < count; i++) {
    const double g = got.values[i], t = truth.values[i];
    if (!std::isfinite(t))
      return worst.see(NAN, 1, fmt::format("{}[{}]: {} {}, which proves nothing", got.name, i, with, t));
    const double error = g == t ? 0 : std::fabs(g - t), may = allowed.at(t);
    errors += error * error;
    allowances += may * may;
    if (kink == 0 || std::isnan(error))
      worst.see(error, may, [&] { return fmt::format("{}[{}]: {:.9g}, {} {:.9g}", got.name, i, g, with, t); });
  }
  const double may = kink > 0 ? kink * norm(truth.values) : (count < 64 ? 1 : 0.6) * std::sqrt(allowances);
  if (errors > 0)
    worst.see(std::sqrt(errors), may,
              fmt::format("{}: norm of the difference from {} {:.3g}, norm {:.3g}", got.name, with, std::sqrt(errors),
                          norm(truth.values)));
}

struct Options {
  Device device;
  Guards guards = Guards::On;
  int seeds = 1;
};

struct Verdict {
  Worst same, exact;  // against the same precision, against double
  std::string failure;
};

// First place where the bits differ; empty: none.
std::string first_difference(const OpResults& a, const OpResults& b) {
  for (size_t t = 0; t < a.size(); t++)
    for (size_t i = 0; i < a[t].values.size(); i++)
      if (std::memcmp(&a[t].values[i], &b[t].values[i], sizeof(double)) != 0)
        return fmt::format("{}[{}]: {:.17g} at first, {:.17g}", a[t].name, i, a[t].values[i], b[t].values[i]);
  return {};
}

Verdict check(const OpPrecision& p, size_t place, const OpName& op, const Options& o) {
  Verdict verdict;
  const auto run = [&](const OpPrecision& precision, Device device) {
    return precision.run(place, device, p.rounding, o.guards);
  };
  try {
    simt::set_seed(0);
    const OpResults got = run(p, o.device);
    if (o.device != Device(Backend::cpu)) {
      const OpResults same = run(p, Backend::cpu);
      for (size_t t = 0; t < got.size(); t++)
        compare(got[t], same[t], {p, op, same[t], 2}, kink(p, op, 10) / 3, "cpu", verdict.same);
    }
    const OpResults exact = run(f64::op_precision, Backend::cpu);
    for (size_t t = 0; t < got.size(); t++) {
      const double may = kink(p, op, 1);
      if (may > 0.7 && got[t].name.starts_with("d(")) continue;
      OpTensor truth = exact[t];
      truth.stored = got[t].stored;
      compare(got[t], truth, {p, op, truth, 1}, may, "double", verdict.exact);
    }
    for (const Worst& worst : {verdict.same, verdict.exact})
      if (!worst.within() && verdict.failure.empty()) verdict.failure = worst.where;
    // A whole network takes its time, and each of its kernels has cases of its own.
    const int runs = op.between < 10 ? o.seeds : std::min(o.seeds, 3);
    for (int seed = 1; seed < runs && verdict.failure.empty(); seed++) {
      simt::set_seed(static_cast<uint32_t>(seed));
      const std::string difference = first_difference(got, run(p, o.device));
      if (!difference.empty()) verdict.failure = fmt::format("{} with schedule {}", difference, seed);
    }
  } catch (const std::exception& error) {
    verdict.failure = error.what();
  }
  return verdict;
}

int run_cases(const OpPrecision& p, const std::vector<size_t>& chosen, const Options& o) {
  const std::vector<OpName> all = p.names();
  int failed = 0;
  fmt::print("{} on {}, {} run{} of each case: worst share of the tolerance against {}double\n", p.name,
             name_of(o.device), o.seeds, o.seeds == 1 ? "" : "s",
             o.device == Device(Backend::cpu) ? "" : "the cpu and ");
  for (size_t i = 0; i < chosen.size();) {
    const std::string& op = all[chosen[i]].op;
    Worst same, exact;
    int count = 0;
    for (; i < chosen.size() && all[chosen[i]].op == op; i++, count++) {
      const OpName& name = all[chosen[i]];
      Verdict verdict = check(p, chosen[i], name, o);
      for (Worst* worst : {&verdict.same, &verdict.exact}) worst->where = name.shapes + ": " + worst->where;
      same.see(verdict.same);
      exact.see(verdict.exact);
      if (verdict.failure.empty()) continue;
      failed++;
      fmt::print("FAILED {} {}: {}\n", op, name.shapes, verdict.failure);
    }
    fmt::print("{:20} {:3} cases, cpu {:.2f}, double {:.2f} at {}\n", op, count, same.share, exact.share,
               same.share > exact.share ? same.where : exact.where);
    std::fflush(stdout);
  }
  fmt::print("{} of {} cases failed\n", failed, chosen.size());
  return failed == 0 ? 0 : 1;
}

// The places of the cases that `filter` chooses, one op's together, in the order of its first.
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
  app.add_option("--precision", precision, "f64, f32, bf16 or f16")
      ->one_of({"f64", "f32", "bf16", "f16"})
      ->capture_default_str();
  add_whole_number(app, "--seeds", o.seeds, 1, 1000,
                   "runs of each case, on emu each under a schedule of its own; all bits must agree");
  app.add_option("--filter", filter, "only cases whose op and shapes in --list contain TEXT")->type_name("TEXT");
  app.add_flag("--bare", bare, "no guard zones round blocks of memory: a sanitizer sees where they end");
  app.add_flag("--list", list, "print the cases and run none");
  if (const auto code = parse_command_line(app, argc, argv)) return *code;
  const OpPrecision& p = op_precision_of(precision);
  const std::vector<OpName> names = p.names();
  const std::vector<size_t> chosen = choose(names, filter);
  if (chosen.empty()) fail("--filter: expected text that occurs in --list, got {}", quote(filter));
  if (!list) {
    set_up_threads(0);
    o.device = choose_device(device);
    o.guards = bare ? Guards::Off : Guards::On;
    return run_cases(p, chosen, o);
  }
  for (const size_t i : chosen) fmt::print("{} {}\n", names[i].op, names[i].shapes);
  return 0;
}

}  // namespace

int main(int argc, char** argv) { return mpanet::program_main("opcheck", argc, argv, opcheck); }
