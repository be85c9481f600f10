// MPANet: backbone, pattern alignment, BN neck, classifiers and the total loss (docs/method.md, sections 1 and 2).
#pragma once
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "losses/losses.h"
#include "mpanet/network/resnet.h"

namespace mpanet::PRECISION {

// One modality's classifier and its teacher (moving average, no gradient).
struct ModalityClassifier {
  Parameter &live, &teacher;
};

class MpaNet {
 public:
  using NamedTerms = std::vector<std::pair<std::string, RealTensor>>;

  // Adds every parameter to the store, in the order of the authors' state_dict.
  MpaNet(ParameterStore& store, const ModelConfig& config);

  struct Features {
    RealTensor f;      // (N, D), before the BN neck
    RealTensor masks;  // the pattern maps (N, HW, P), empty for P = 0
    int map_height = 0, map_width = 0;
  };
  Features features(Context& context, const Tensor& images, Mode mode);
  // Test-time features. f is the embedding (N, D): the BN neck's output in eval mode.
  Features embed(Context& context, const Tensor& images);
  // Updates the teachers with the rate in *rates, then returns every loss term (scalars), the total last. images
  // (N, H, W, 3), labels and infrared (N). record: null, or device memory for these terms, in the same order.
  NamedTerms losses(Context& context, const Tensor& images, const LabelTensor& labels, const FlagTensor& infrared,
                    const StepRates* rates, real* record = nullptr);
  int feature_size() const { return feature_size_; }

 private:
  struct Sum;  // the terms so far
  void add_classifier_terms(Context& context, const RealTensor& g, const LabelTensor& labels,
                            const FlagTensor& infrared, const StepRates* rates, Sum& sum);
  ModelConfig config_;
  ParameterStore& store_;
  Backbone backbone_;
  int feature_size_;
  Parameter* centers_ = nullptr;  // this and the following parameters are null if switched off
  Parameter *spatial_weight_ = nullptr, *spatial_bias_ = nullptr;
  std::optional<ModalityClassifier> visible_, infrared_;
  std::optional<BatchNorm> neck_;
  Parameter* classifier_ = nullptr;
};

}  // namespace mpanet::PRECISION
