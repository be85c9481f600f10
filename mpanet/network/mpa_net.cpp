#include "mpanet/network/mpa_net.h"

namespace mpanet::PRECISION {

MpaNet::MpaNet(ParameterStore& store, const ModelConfig& config)
    : config_(config),
      store_(store),
      backbone_(store, config),
      feature_size_(backbone_.channels() * (config.parts + 1)) {
  const int c = backbone_.channels(), d = feature_size_, k = config.classes;
  if (config.parts > 0) {
    spatial_weight_ = &store.add("spatial_attention.weight", {config.parts, c, 1, 1}, true);
    spatial_bias_ = &store.add("spatial_attention.bias", {config.parts}, true);
  }
  if (config.mutual) {
    Parameter& visible = store.add("visible_classifier.weight", {k, d}, true);
    Parameter& infrared = store.add("infrared_classifier.weight", {k, d}, true);
    visible_.emplace(ModalityClassifier{visible, store.add("visible_classifier_.weight", {k, d}, false)});
    infrared_.emplace(ModalityClassifier{infrared, store.add("infrared_classifier_.weight", {k, d}, false)});
  }
  // Without a classifier no term depends on the neck's weight. The weight does not change, not even by weight decay,
  // like a parameter without gradient in PyTorch. The running statistics are still updated.
  neck_.emplace(store, "bn_neck", d, TrainedParts{.weight = config.classification || config.mutual, .bias = false});
  if (config.classification) classifier_ = &store.add("classifier.weight", {k, d}, true);
  if (config.center) centers_ = &store.add("center_loss.centers", {k, d}, true);
}

MpaNet::Features MpaNet::features(Context& context, const Tensor& images, Mode mode) {
  const Tensor x = backbone_.forward(context, images, mode);
  if (config_.parts == 0) return {global_mean(context, x), RealTensor(), x.dim(1), x.dim(2)};
  const PatternFeatures made = pattern_alignment(context, store_, x, *spatial_weight_, *spatial_bias_);
  return {made.f, made.masks, x.dim(1), x.dim(2)};
}

MpaNet::Features MpaNet::embed(Context& context, const Tensor& images) {
  Features made = features(context, images, Mode::Eval);
  made.f = batch_norm_1d(context, made.f, *neck_, Mode::Eval);
  return made;
}

struct MpaNet::Sum {
  NamedTerms terms;
  std::vector<WeightedTerm> weighted;
  void add(const char* name, const RealTensor& value, double weight) {
    terms.emplace_back(name, value);
    weighted.push_back({value, weight});
  }
};

// Both modalities' classifiers take every row, and a flag per row tells the losses which rows count. So no shape
// depends on the labels. All classifiers and teachers have the same input and are one launch.
void MpaNet::add_classifier_terms(Context& context, const RealTensor& g, const LabelTensor& labels,
                                  const FlagTensor& infrared, const StepRates* rates, Sum& sum) {
  std::vector<Parameter*> live;
  std::vector<const Parameter*> teachers;
  if (config_.classification) live.push_back(classifier_);
  if (config_.mutual)
    for (const ModalityClassifier* c : {&*visible_, &*infrared_}) {
      RUN_ON(context, teacher_update(context.stream(), rates, c->live.value, c->teacher.value, c->live.count));
      live.push_back(&c->live);
      teachers.push_back(&c->teacher);
    }
  if (live.empty()) return;
  const std::vector<Logits> logits = linear_several(context, g, live, teachers);
  if (config_.classification) sum.add("ce", cross_entropy(context, logits[0], labels), 1);
  if (!config_.mutual) return;
  const Logits* const own = logits.data() + (config_.classification ? 1 : 0);  // visible, infrared, their teachers
  sum.add("ce-v", cross_entropy_of(context, own[0], labels, infrared, 0), 2 * config_.weight_sid);
  sum.add("ce-i", cross_entropy_of(context, own[1], labels, infrared, 1), 2 * config_.weight_sid);
  sum.add("KL", mutual_kl(context, own[0], own[1], own[2], own[3], infrared), config_.weight_kl);
}

MpaNet::NamedTerms MpaNet::losses(Context& context, const Tensor& images, const LabelTensor& labels,
                                  const FlagTensor& infrared, const StepRates* rates, real* record) {
  const Features made = features(context, images, Mode::Train);
  const RealTensor &f = made.f, &masks = made.masks;
  Sum sum;
  if (config_.parts > 1) sum.add("p-reg", separation_loss(context, masks), config_.weight_sep);
  if (config_.triplet) sum.add("tri", triplet_loss(context, f, labels, config_.margin), 1);
  if (config_.center) sum.add("cen", center_loss(context, f, labels, *centers_), 1);
  if (config_.center_cluster) sum.add("cc", center_cluster_loss(context, f, labels, config_.margin), 1);
  const RealTensor g = batch_norm_1d(context, f, *neck_, Mode::Train);
  add_classifier_terms(context, g, labels, infrared, rates, sum);
  sum.terms.emplace_back("total", weighted_sum(context, sum.weighted, record));
  return sum.terms;
}

}  // namespace mpanet::PRECISION
