// Which tensors of a file are a network's, and how they are called there. Files differ in what stands before the
// authors' names (docs/method.md, section 6): dictionaries ("model.", "state_dict.", "net."), wrappers ("module."), and
// torchvision's files have the backbone alone, without "backbone.".
#pragma once
#include <map>
#include <string>
#include <vector>

#include "mpanet/files/tensor_file.h"
#include "mpanet/network/model_config.h"

namespace mpanet {

struct StateDict {
  std::map<std::string, std::string> names;  // the authors' name: the file's
  std::vector<std::string> outside;          // tensors without the prefix, by the file's names
  std::string prefix;                        // "state_dict.module."; stripped from the names
  bool torchvision = false;                  // "backbone." was put before the names of the backbone

  // The tensor of that name; null where the file has none.
  const TensorEntry* find(const TensorFile& file, const std::string& name) const;
  // How the file calls, or would call, the tensor of that name.
  std::string name_in_file(const std::string& name) const;
};

// UserError, one line: a file without a ResNet, one with several networks that are named alike, a tensor that is there
// with and without "backbone.".
StateDict find_state_dict(const TensorFile& file);
// Whether there is a ResNet in the file at all.
bool has_network(const TensorFile& file);

// Depth, modality alleviation and parts, by names and shapes; everything else as in ModelConfig. UserError: blocks of
// no known depth; where only some of a depth's blocks are there, the first tensor that is missing.
ModelConfig infer_model(const TensorFile& file, const StateDict& state);

// Names of tensors. `taken`: the network's that the file has. `random`: the network's that keep their random values.
// `left`: the file's that are not used, with the reason.
struct WeightsReport {
  std::vector<std::string> taken, left, random;
  std::string prefix = {};                // what was stripped from the file's names
  std::vector<std::string> unknown = {};  // of `left`, those that no part of the method has, without the reason
};

// "318 tensors taken, 2 left, 9 drawn at random", with the prefix and the first unknown names.
std::string report_line(const WeightsReport& report);
// One line per name: "taken backbone.conv1.weight".
std::string report_text(const WeightsReport& report);
// The reports of the file's tensors outside the network.
WeightsReport begin_report(const StateDict& state);

// Where the weights are torchvision's V2, by the checksum or the name of the file: a warning; else "".
std::string torchvision_warning(const TensorFile& file, const StateDict& state);

// True for the tensors that embeddings do not need: classifiers, teachers, loss centers.
bool is_classifier(const std::string& tensor);

// Never part of a network here: optimiser state, counters of batches, ImageNet's classifier.
bool is_left(const std::string& name);

}  // namespace mpanet
