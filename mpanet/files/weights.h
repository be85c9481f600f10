// Initial weights from elsewhere (--init): ImageNet's under torchvision's names, or a whole model's under the authors'.
#pragma once
#include <string>
#include <vector>

#include "mpanet/network/engine.h"

namespace mpanet {

// Names of tensors: the engine's in `taken` and `random` (they keep their random start), the file's in `left` (with the
// reason).
struct WeightsReport {
  std::vector<std::string> taken, left, random;
};

// Overwrites what the file has of the engine's tensors, by name ("layer1.0.conv1.weight" is the backbone's). Left are
// torchvision's classifier (fc.*), classifiers of another number of classes, counters and optimiser state, and tensors
// that this network does not have. Teachers that the file lacks take the values of their live classifiers. UserError,
// one line: what TensorFile refuses, another shape (name, expected, got), values that are not finite, a file that has
// nothing of the backbone.
WeightsReport load_weights(const std::string& path, EngineState& engine);

// "318 tensors taken, 2 left, 9 drawn at random".
std::string report_line(const WeightsReport& report);
// Every name, one a line: "taken backbone.conv1.weight".
std::string report_text(const WeightsReport& report);

}  // namespace mpanet
