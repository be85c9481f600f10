// Initial weights from a file (--init): ImageNet weights under torchvision's names, or a model under the authors'
// names.
#pragma once
#include <string>

#include "mpanet/files/state_dict.h"
#include "mpanet/network/engine.h"

namespace mpanet {

// Overwrites the engine's tensors that the file has, by name (state_dict.h). Not used: torchvision's
// classifier (fc.*), classifiers with another number of classes, with another number of parts everything after the
// backbone, counters, optimiser state, and tensors that this network does not have. A teacher that the file lacks gets
// its live classifier's values. `warning`: torchvision_warning(). UserError, one line: see TensorFile and
// find_state_dict(); also a wrong shape (name, expected, got), a value that is not finite or not in
// float32's range, a negative running variance, and a missing tensor of the
// backbone.
WeightsReport load_weights(const std::string& path, EngineState& engine, std::string* warning = nullptr);

}  // namespace mpanet
