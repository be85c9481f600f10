// Initial weights from a file (--init): ImageNet weights under torchvision's names, or a model under the authors'
// names.
#pragma once
#include <string>
#include <vector>

#include "mpanet/network/engine.h"

namespace mpanet {

// Names of tensors. `taken`: the engine's that the file has. `random`: the engine's that keep their random values.
// `left`: the file's that are not used, with the reason.
struct WeightsReport {
  std::vector<std::string> taken, left, random;
};

// Overwrites the engine's tensors that the file has, by name; "layer1.0.conv1.weight" means the backbone's. Not used:
// torchvision's classifier (fc.*), classifiers with another number of classes, counters, optimiser state, and tensors
// that this network does not have. A teacher that the file lacks gets its live classifier's values. UserError, one
// line: see TensorFile; also a wrong shape (name, expected, got), a value that is not finite, and a file without any
// tensor of the backbone.
WeightsReport load_weights(const std::string& path, EngineState& engine);

// "318 tensors taken, 2 left, 9 drawn at random".
std::string report_line(const WeightsReport& report);
// One line per name: "taken backbone.conv1.weight".
std::string report_text(const WeightsReport& report);

}  // namespace mpanet
