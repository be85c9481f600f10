// Finds a network's tensors in a file, and their names there. The authors' names (docs/method.md, section 6) may have
// different prefixes: of dictionaries ("model.", "state_dict.", "net.") and of wrappers ("module."). Torchvision's
// files have only the backbone, without "backbone.".
#pragma once
#include <map>
#include <string>
#include <vector>

#include "mpanet/files/tensor_file.h"
#include "mpanet/network/model_config.h"

namespace mpanet {

struct StateDict {
  std::map<std::string, std::string> names;  // the authors' name -> the file's
  std::vector<std::string> outside;          // tensors without the prefix, by the file's names
  std::string prefix;                        // "state_dict.module."; stripped from the names
  std::vector<std::string> other_prefixes;   // of the file's further networks, such as "ema."
  bool torchvision = false;                  // "backbone." was added to the names of the backbone

  // The tensor with the authors' name `name`; null if the file has none.
  const TensorEntry* find(const TensorFile& file, const std::string& name) const;
  // The file's name of that tensor, also if the tensor is missing.
  std::string name_in_file(const std::string& name) const;
};

// UserError, one line: a file without a ResNet, a file with several networks of equal rank, a tensor that exists
// with and without "backbone.".
StateDict find_state_dict(const TensorFile& file);
// Whether the file has a ResNet.
bool has_network(const TensorFile& file);

// Depth, modality alleviation and parts follow from names and shapes; the rest has ModelConfig's defaults. UserError:
// blocks of no known depth; if some blocks of a depth are missing, it names the first missing tensor.
ModelConfig infer_model(const TensorFile& file, const StateDict& state);

// Names of tensors. `taken`: the network's that the file has. `random`: the network's that keep their random values.
// `left`: the file's that are not used, with the reason.
struct WeightsReport {
  std::vector<std::string> taken, left, random;
  std::string prefix = {};                       // the prefix removed from the file's names
  std::vector<std::string> unknown = {};         // those of `left` that no part of the method has, without the reason
  std::vector<std::string> other_prefixes = {};  // of networks in the file that are not used
};

// "318 tensors taken, 2 left, 9 drawn at random", with the prefix and the first unknown names.
std::string report_line(const WeightsReport& report);
// One line per name: "taken backbone.conv1.weight".
std::string report_text(const WeightsReport& report);
// A report of the file's tensors outside the network.
WeightsReport begin_report(const StateDict& state);

// A warning for torchvision's V2 weights, known by the checksum or the name of the file, and for a ResNet-50 under
// torchvision's names whose stem is not V1's; else "".
std::string torchvision_warning(const TensorFile& file, const StateDict& state);

// True for the tensors that embeddings do not need: classifiers, teachers, loss centers.
bool is_classifier(const std::string& tensor);

// Whether a tensor is never part of a network: optimiser state, counters of batches, ImageNet's classifier.
bool is_left(const std::string& name);

}  // namespace mpanet
