#include "tests/ops/op_compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "tests/support/rounded_error.h"

namespace mpanet {
namespace {

enum class Reference { Same, Double, Rounded };

const char* text_of(Reference reference) {
  return reference == Reference::Same ? "cpu" : reference == Reference::Double ? "double" : "rounded double";
}

// The sum of the unit roundoffs of the roundings, one after another, between the inputs and a result, of those that a
// run can differ in from the reference.
double roundings_of(const OpPrecision& p, const OpName& op, Reference reference) {
  const int operands = reference == Reference::Double ? op.operand_roundings : op.computed_operands;
  return op.intermediate_roundings * p.storage_unit + operands * p.operand_unit;
}

bool is_gradient(const OpTensor& t) { return t.name.starts_with("d("); }

double norm(const std::vector<double>& values) {
  double sum = 0;
  for (const double v : values) sum += v * v;
  return std::sqrt(sum);
}

// The bound of the difference between a tensor and its reference.
class Allowed {
 public:
  Allowed(const OpPrecision& p, const OpName& op, const OpTensor& truth, Reference reference)
      : reference_(reference),
        sums_(op.tolerance_factor * 64 * p.real_unit),
        roundings_(op.tolerance_factor * 4 * roundings_of(p, op, reference)),
        stored_(truth.stored ? p.storage_unit : 0),
        smallest_(p.storage_smallest),
        other_neighbour_(truth.stored || roundings_ > 0
                             ? op.tolerance_factor * (p.storage_unit + roundings_of(p, op, reference)) / 4
                             : 0),
        norm_(norm(truth.values)),
        rms_(norm_ / std::sqrt(static_cast<double>(truth.values.size()))) {}

  double at(double truth) const {
    const double size = std::fabs(truth) + rms_, own = stored_ * std::max(std::fabs(truth), smallest_);
    if (reference_ == Reference::Rounded) return 2 * own + (sums_ + roundings_) * size;
    return (reference_ == Reference::Same ? 2 : 1) * (own + (sums_ + roundings_) * size);
  }

  double of_norm(const std::vector<double>& truth) const {
    const double fraction = truth.size() < 64 ? 1 : 0.6;
    double all = 0;
    for (const double t : truth) {
      const double may = reference_ == Reference::Rounded ? sums_ * (std::fabs(t) + rms_) : at(t);
      all += may * may;
    }
    // Each of a few elements may be rounded to the other neighbour; at() bounds them.
    if (reference_ == Reference::Rounded && truth.size() < 64) return INFINITY;
    return fraction * std::sqrt(all) + (reference_ == Reference::Rounded ? other_neighbour_ * norm_ : 0);
  }

 private:
  Reference reference_;
  double sums_, roundings_, stored_, smallest_, other_neighbour_, norm_, rms_;
};

class Comparer {
 public:
  Comparer(const OpPrecision& p, const OpName& op) : p_(p), op_(op) {}

  Comparison compare(const OpResults& got, const References& references) {
    if (!references.same.empty() && !alike(got, references.same)) return result_;
    if (!alike(got, references.exact)) return result_;
    if (!references.rounded.empty() && !alike(got, references.rounded)) return result_;
    for (size_t t = 0; t < got.size(); t++) {
      bounds_ = 0;
      refuses_zeros_ = false;
      const bool as_rounding_errors = is_gradient(got[t]) && deep(op_) && !references.rounded.empty();
      if (!references.same.empty() && !as_rounding_errors)
        compare(got[t], references.same[t], Reference::Same, deep(op_) ? kink() / 3 : 0, result_.same);
      if (as_rounding_errors) {
        compare_deep(got, references, t);
      } else {
        compare(got[t], references.exact[t], Reference::Double, kink(), result_.exact);
        if (!references.rounded.empty() && !deep(op_))
          compare(got[t], references.rounded[t], Reference::Rounded, 0, result_.rounded);
      }
      result_.tensors++;
      result_.gradients += is_gradient(got[t]);
      if (bounds_ == 0) fail_with(got[t].name + " was compared with nothing");
      if (is_gradient(got[t]) && !refuses_zeros_) fail_with(got[t].name + ": its bounds would let zeros pass");
    }
    for (const Worst& worst : {result_.same, result_.exact, result_.rounded})
      if (!worst.within()) fail_with(worst.where);
    return result_;
  }

 private:
  void fail_with(const std::string& what) {
    if (result_.failure.empty()) result_.failure = what;
  }

  bool alike(const OpResults& got, const OpResults& reference) {
    if (got.size() != reference.size())
      fail_with(fmt::format("{} results, the reference has {}", got.size(), reference.size()));
    for (size_t t = 0; t < std::min(got.size(), reference.size()); t++) {
      if (got[t].name != reference[t].name || got[t].values.size() != reference[t].values.size())
        fail_with(fmt::format("{} has {} elements, the reference's {} has {}", got[t].name, got[t].values.size(),
                              reference[t].name, reference[t].values.size()));
      for (const double v : reference[t].values)
        if (!std::isfinite(v)) fail_with(fmt::format("{}: the reference has {}, which proves nothing", got[t].name, v));
    }
    return result_.failure.empty();
  }

  // The relative bound of the norm of errors if elements may be on the other side of a kink; 0 if none may.
  double kink() const {
    const double fraction = roundings_of(p_, op_, Reference::Double);  // of the elements
    return fraction > 1e-6 ? 2 * std::sqrt(fraction) : 0;
  }

  // Compares one tensor element by element and as a whole; with a kink only as a whole.
  void compare(const OpTensor& got, const OpTensor& reference, Reference kind, double kink, Worst& worst) {
    OpTensor truth = reference;
    truth.stored = got.stored;
    const Allowed allowed(p_, op_, truth, kind);
    const char* const with = text_of(kind);
    double errors = 0;
    for (size_t i = 0; i < truth.values.size(); i++) {
      const double g = got.values[i], t = truth.values[i], error = g == t ? 0 : std::fabs(g - t), may = allowed.at(t);
      errors += error * error;
      if (kink > 0 && !std::isnan(error)) continue;
      refuses_zeros_ |= std::fabs(t) > may;
      worst.see(error, may, [&] { return fmt::format("{}[{}]: {:.9g}, {} {:.9g}", got.name, i, g, with, t); });
    }
    const double size = norm(truth.values), may = kink > 0 ? kink * size : allowed.of_norm(truth.values);
    refuses_zeros_ |= size > may;
    bounds_++;
    if (errors > 0)
      worst.see(std::sqrt(errors), may,
                fmt::format("{}: norm of the difference from {} {:.3g}, norm {:.3g}", got.name, with, std::sqrt(errors),
                            size));
  }

  // Compares a gradient of a whole network.
  void compare_deep(const OpResults& got, const References& references, size_t t) {
    static const std::string added = " added";
    const std::string& name = got[t].name;
    if (!name.ends_with(added)) {
      RoundedError error;
      std::vector<const std::vector<double>*> runs = {&references.rounded[t].values};
      for (const OpResults& run : references.perturbed) runs.push_back(&run[t].values);
      error.add(got[t].values, references.exact[t].values, runs);
      constexpr double kAlways = std::numeric_limits<double>::infinity();
      error.see(RoundedError::Rounding::Storage, kink() < 0.5 ? kink() : 0, name, result_.rounded, kAlways,
                error.along_bound());
    } else {
      compare_added(got, references.exact, t, name.substr(0, name.size() - added.size()));
    }
    bounds_++;
    refuses_zeros_ = true;
  }

  // Two runs of the same backward pass must add the values that they set. The reference gives the existing numbers.
  void compare_added(const OpResults& got, const OpResults& exact, size_t added, const std::string& name) {
    const size_t set = static_cast<size_t>(
        std::find_if(got.begin(), got.end(), [&](const OpTensor& t) { return t.name == name; }) - got.begin());
    MPANET_CHECK(set < got.size(), "{} without {}", got[added].name, name);
    const std::vector<double>& first = got[set].values;
    std::vector<double> there = exact[added].values;
    for (size_t i = 0; i < there.size(); i++) there[i] -= exact[set].values[i];
    const double rms = (norm(there) + norm(first)) / std::sqrt(static_cast<double>(there.size()));
    for (size_t i = 0; i < there.size(); i++) {
      const double error = std::fabs(got[added].values[i] - (there[i] + first[i]));
      const double may = 64 * p_.real_unit * (std::fabs(there[i]) + std::fabs(first[i]) + rms);
      result_.rounded.see(error, may, [&] { return fmt::format("{}[{}]: added to {}", got[added].name, i, there[i]); });
    }
  }

  const OpPrecision& p_;
  const OpName& op_;
  Comparison result_;
  int bounds_ = 0;              // number of bounds applied to the current tensor
  bool refuses_zeros_ = false;  // whether a tensor of zeros would violate one of them
};

}  // namespace

bool deep(const OpName& op) { return op.intermediate_roundings >= 10; }

Comparison compare(const OpPrecision& p, const OpName& op, const OpResults& got, const References& references) {
  return Comparer(p, op).compare(got, references);
}

}  // namespace mpanet
