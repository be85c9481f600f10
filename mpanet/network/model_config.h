// The configuration of the network and its losses (docs/method.md, sections 1 and 2). mpanet/config/config_keys.cpp
// has the ranges and checks them.
#pragma once
#include <string>

namespace mpanet {

struct ModelConfig {
  std::string depth = "50";       // "18", "34", "50", "101", "152" or "tiny"
  int classes = 395;              // identities in training, K
  int height = 384, width = 128;  // pixels of the input
  int parts = 6;                  // pattern maps P, 0..8; 0: no pattern alignment module
  int mam = 2;                    // modality_attention: 2 after layer3 and layer4, 1 after layer4 only, 0 none
  bool drop_last_stride = true;
  bool center_cluster = true;  // cc
  bool classification = true;  // the classifier and ce
  bool mutual = true;          // modality classifiers, their teachers, ce-v, ce-i and KL
  bool triplet = false, center = false;
  double margin = 0.7;
  double weight_sep = 0.5, weight_sid = 0.5, weight_kl = 2.5;
  double update_rate = 0.2;  // of the teachers, 0..1
  bool operator==(const ModelConfig&) const = default;

  // Whether the total loss has a term with a weight above 0.
  bool has_loss() const {
    return center_cluster || classification || triplet || center || (parts > 1 && weight_sep > 0) ||
           (mutual && (weight_sid > 0 || weight_kl > 0));
  }
};

// Channels of the backbone's output for a depth: 128, 512 or 2048. UserError for an unknown depth.
int backbone_channels(const std::string& depth);

}  // namespace mpanet
