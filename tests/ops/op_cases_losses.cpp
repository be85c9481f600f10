// Cases: every loss. Identities with equal and with different counts, in and out of order; both modalities.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "losses/losses.h"
#include "tests/ops/op_case.h"

namespace mpanet::PRECISION {
namespace {

using Labels = std::vector<int32_t>;

// "3,3,5"; of many the first ones.
template <class T>
std::string joined(const std::vector<T>& numbers) {
  constexpr size_t kShown = 12;
  std::string text;
  for (size_t i = 0; i < std::min(numbers.size(), kShown); i++)
    text += fmt::format("{}{}", i == 0 ? "" : ",", static_cast<int>(numbers[i]));
  return text + (numbers.size() > kShown ? ",.." : "");
}

// Identities of a batch that every loop over its rows takes in several turns: equal ones 173 rows apart.
Labels many_labels() {
  Labels labels;
  for (int i = 0; i < 520; i++) labels.push_back(37 * i % 173);
  return labels;
}

OpCase separation_case(int n, int hw, int parts) {
  const auto make = [=](Inputs& in) -> Call {
    const RealTensor masks = in.values("masks", {n, hw, parts}, Draw::unit());
    return [=, &context = in.context()] { return Outputs{{}, {separation_loss(context, masks)}}; };
  };
  return {"separation_loss", fmt::format("{}x{}x{}", n, hw, parts), make};
}

enum class Metric { CenterCluster, Triplet, Center };

// Features of deviation 1 / sqrt(d), so that distances are near 1.4 whatever d is, and margins about as large have
// pairs on both sides of the hinge.
OpCase metric_case(Metric metric, const Labels& labels, int d, double margin) {
  const int n = static_cast<int>(labels.size());
  const int classes = *std::max_element(labels.begin(), labels.end()) + 2;  // one that the batch has not
  const auto make = [=](Inputs& in) -> Call {
    const Draw how = Draw::normal(1 / std::sqrt(static_cast<double>(d)));
    Parameter* centers = nullptr;
    if (metric == Metric::Center) {
      centers = &in.store().add("centers", {classes, d}, true);
      in.fill_parameters();
    }
    const RealTensor f = in.values("f", {n, d}, how);
    const LabelTensor y = in.labels(labels);
    return [=, &context = in.context()] {
      if (metric == Metric::CenterCluster) return Outputs{{}, {center_cluster_loss(context, f, y, margin)}};
      if (metric == Metric::Triplet) return Outputs{{}, {triplet_loss(context, f, y, margin)}};
      return Outputs{{}, {center_loss(context, f, y, *centers)}};
    };
  };
  const char* const names[] = {"center_cluster_loss", "triplet_loss", "center_loss"};
  std::string shapes = fmt::format("{}x{} identities {}", n, d, joined(labels));
  if (metric != Metric::Center) shapes += fmt::format(" margin {}", margin);
  return {names[static_cast<int>(metric)], shapes, make};
}

// which: -1 all rows, else one modality's; rows alternate.
OpCase cross_entropy_case(int n, int k, int which) {
  const auto make = [=](Inputs& in) -> Call {
    const RealTensor logits = in.values("logits", {n, k}, Draw::normal(2));
    Labels labels;
    std::vector<uint8_t> infrared;
    for (int i = 0; i < n; i++) {
      labels.push_back((3 * i + 1) % k);
      infrared.push_back(i % 3 == 1);
    }
    const LabelTensor y = in.labels(labels);
    const FlagTensor flags = in.flags(infrared);
    return [=, &context = in.context()] {
      if (which < 0) return Outputs{{}, {cross_entropy(context, logits, y)}};
      return Outputs{{}, {cross_entropy_of(context, logits, y, flags, which)}};
    };
  };
  const char* const rows[] = {"", " visible rows", " infrared rows"};
  return {which < 0 ? "cross_entropy" : "cross_entropy_of", fmt::format("{}x{}{}", n, k, rows[which + 1]), make};
}

OpCase mutual_kl_case(int k, const std::vector<uint8_t>& infrared) {
  const int n = static_cast<int>(infrared.size());
  const auto make = [=](Inputs& in) -> Call {
    const Draw how = Draw::normal(2);
    const RealTensor live_v = in.values("live visible", {n, k}, how), live_i = in.values("live infrared", {n, k}, how);
    const RealTensor teacher_v = in.values("", {n, k}, how, false), teacher_i = in.values("", {n, k}, how, false);
    const FlagTensor flags = in.flags(infrared);
    return [=, &context = in.context()] {
      return Outputs{{}, {mutual_kl(context, live_v, live_i, teacher_v, teacher_i, flags)}};
    };
  };
  OpCase made{"mutual_kl", fmt::format("{}x{} infrared {}", n, k, joined(infrared)), make};
  made.harder = 16;  // p (log p - log q - KL): its last factor may nearly vanish
  return made;
}

// `again`: the first term occurs a second time at the end.
OpCase weighted_sum_case(int terms, bool again) {
  const auto make = [=](Inputs& in) -> Call {
    std::vector<WeightedTerm> list;
    for (int i = 0; i < terms; i++) list.push_back({in.values(fmt::format("term {}", i), {1}), 0.5 * i - 1.25});
    if (again) list.push_back({list[0].value, 3});
    return [=, &context = in.context()] { return Outputs{{}, {weighted_sum(context, list)}}; };
  };
  return {"weighted_sum", fmt::format("{} terms{}", terms, again ? ", one twice" : ""), make};
}

}  // namespace

void add_loss_cases(std::vector<OpCase>& cases) {
  cases.push_back(separation_case(1, 1, 2));
  cases.push_back(separation_case(2, 15, 6));
  cases.push_back(separation_case(3, 7, 8));
  cases.push_back(separation_case(5, 2, 3));
  const Labels even{0, 0, 1, 1}, uneven{3, 3, 3, 5, 5, 9}, unsorted{2, 0, 2, 1, 0, 2, 5, 2, 1}, singles{4, 1, 0};
  for (const int d : {1, 3, 67})
    for (const double margin : {0.7, 1.5})
      for (const Labels& labels : {even, uneven, unsorted}) {
        cases.push_back(metric_case(Metric::CenterCluster, labels, d, margin));
        cases.push_back(metric_case(Metric::Triplet, labels, d, margin));
      }
  cases.push_back(metric_case(Metric::CenterCluster, {7, 7, 7}, 5, 0.7));  // one identity: no push
  cases.push_back(metric_case(Metric::CenterCluster, singles, 5, 2));      // one sample each: no pull
  cases.push_back(metric_case(Metric::Triplet, singles, 5, 2));
  for (const int d : {1, 7, 67})
    for (const Labels& labels : {Labels{0}, even, uneven, unsorted})
      cases.push_back(metric_case(Metric::Center, labels, d, 0));
  for (const auto& [n, k] : {std::pair{1, 2}, {5, 7}, {4, 67}, {13, 3}}) {
    cases.push_back(cross_entropy_case(n, k, -1));
    cases.push_back(cross_entropy_case(n, k, 0));
    if (n > 1) cases.push_back(cross_entropy_case(n, k, 1));
  }
  cases.push_back(wide(metric_case(Metric::CenterCluster, uneven, 2048, 1.5)));
  cases.push_back(wide(metric_case(Metric::Triplet, unsorted, 2048, 1.5)));
  cases.push_back(wide(metric_case(Metric::Center, uneven, 2048, 0)));
  for (const Metric metric : {Metric::CenterCluster, Metric::Triplet, Metric::Center})
    cases.push_back(wide(metric_case(metric, many_labels(), 3, 1.5)));
  cases.push_back(wide(cross_entropy_case(300, 3, -1)));
  cases.push_back(wide(cross_entropy_case(300, 3, 1)));
  std::vector<uint8_t> modalities;
  for (int i = 0; i < 300; i++) modalities.push_back(i % 3 == 1);
  cases.push_back(wide(mutual_kl_case(3, modalities)));
  cases.push_back(wide(separation_case(3, 11000, 8)));
  cases.push_back(wide(cross_entropy_case(8, 395, -1)));
  cases.push_back(wide(mutual_kl_case(395, {1, 0, 1, 1})));
  cases.push_back(wide(separation_case(2, 216, 6)));
  cases.push_back(mutual_kl_case(2, {0, 1}));
  cases.push_back(mutual_kl_case(7, {1, 0, 1, 1, 0}));
  cases.push_back(mutual_kl_case(67, {1, 0, 0}));
  cases.push_back(weighted_sum_case(1, false));
  cases.push_back(weighted_sum_case(3, true));
  cases.push_back(weighted_sum_case(8, false));
}

}  // namespace mpanet::PRECISION
