#include "mpanet/network/mpa_net.h"

namespace mpanet::PRECISION {

MpaNet::MpaNet(ParameterStore& store, const ModelConfig& config)
    : config_(config), backbone_(store, config), feature_size_(backbone_.channels() * (config.parts + 1)) {
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
  RealTensor masks;
  if (config_.parts > 0) masks = pattern_maps(context, x, *spatial_weight_, *spatial_bias_);
  return {pattern_pool(context, x, masks), masks, x.dim(1), x.dim(2)};
}

MpaNet::Features MpaNet::embed(Context& context, const Tensor& images) {
  Features made = features(context, images, Mode::Eval);
  made.f = batch_norm_1d(context, made.f, *neck_, Mode::Eval);
  return made;
}

// Both modalities' classifiers take every row, and a flag per row tells the losses which rows count. So no shape
// depends on the labels.
void MpaNet::add_mutual_terms(Context& context, const RealTensor& g, const LabelTensor& labels,
                              const FlagTensor& infrared, const StepRates* rates, NamedTerms& terms,
                              std::vector<WeightedTerm>& weighted) {
  for (const ModalityClassifier* c : {&*visible_, &*infrared_})
    RUN_ON(context, teacher_update(context.stream(), rates, c->live.value, c->teacher.value, c->live.count));
  const RealTensor logits_v = linear(context, g, visible_->live), logits_i = linear(context, g, infrared_->live);
  const RealTensor teacher_v = linear_frozen(context, g, visible_->teacher),
                   teacher_i = linear_frozen(context, g, infrared_->teacher);
  const RealTensor ce_v = cross_entropy_of(context, logits_v, labels, infrared, 0);
  const RealTensor ce_i = cross_entropy_of(context, logits_i, labels, infrared, 1);
  const RealTensor kl = mutual_kl(context, logits_v, logits_i, teacher_v, teacher_i, infrared);
  terms.insert(terms.end(), {{"ce-v", ce_v}, {"ce-i", ce_i}, {"KL", kl}});
  weighted.insert(weighted.end(),
                  {{ce_v, 2 * config_.weight_sid}, {ce_i, 2 * config_.weight_sid}, {kl, config_.weight_kl}});
}

MpaNet::NamedTerms MpaNet::losses(Context& context, const Tensor& images, const LabelTensor& labels,
                                  const FlagTensor& infrared, const StepRates* rates, real* record) {
  const Features made = features(context, images, Mode::Train);
  const RealTensor &f = made.f, &masks = made.masks;
  NamedTerms terms;
  std::vector<WeightedTerm> weighted;
  const auto add = [&](const char* name, const RealTensor& value, double weight) {
    terms.emplace_back(name, value);
    weighted.push_back({value, weight});
  };
  if (config_.parts > 1) add("p-reg", separation_loss(context, masks), config_.weight_sep);
  if (config_.triplet) add("tri", triplet_loss(context, f, labels, config_.margin), 1);
  if (config_.center) add("cen", center_loss(context, f, labels, *centers_), 1);
  if (config_.center_cluster) add("cc", center_cluster_loss(context, f, labels, config_.margin), 1);
  const RealTensor g = batch_norm_1d(context, f, *neck_, Mode::Train);
  if (config_.classification) add("ce", cross_entropy(context, linear(context, g, *classifier_), labels), 1);
  if (config_.mutual) add_mutual_terms(context, g, labels, infrared, rates, terms, weighted);
  terms.emplace_back("total", weighted_sum(context, weighted, record));
  return terms;
}

}  // namespace mpanet::PRECISION
