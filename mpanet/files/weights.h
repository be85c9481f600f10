// Initial weights from elsewhere (--init): ImageNet's under torchvision's names, or a whole model's under the authors'.
#pragma once
#include <string>
#include <vector>

#include "mpanet/network/engine.h"

namespace mpanet {

// Names of tensors: of the engine in `taken` and `missing`, of the file in `ignored` (with the reason).
struct WeightsReport {
  std::vector<std::string> taken, ignored, missing;
};

// Overwrites what the file has of the engine's tensors, by name ("layer1.0.conv1.weight" is the backbone's). Ignored
// are torchvision's classifier (fc.*), classifiers of another number of classes, counters and optimiser state, and
// tensors that this network does not have. Teachers that the file lacks follow their live classifiers. UserError, one
// line: what TensorFile refuses, another shape (name, expected, got), values that are not finite, a file that has
// nothing of the backbone.
WeightsReport load_weights(const std::string& path, Engine& engine);

// "taken 318 tensors: ...", one line each for taken, ignored and missing, with every name.
std::string report_text(const WeightsReport& report);

}  // namespace mpanet
