// The network of a checkpoint as mpanet-eval and mpanet-report set it up, and the files that an evaluation reads.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "core/base/command_line.h"
#include "mpanet/evaluation/evaluate.h"
#include "mpanet/evaluation/feature_choice.h"
#include "mpanet/evaluation/protocol.h"
#include "mpanet/network/engine.h"

namespace mpanet {

// What the user typed; an empty text or 0: not given.
struct NetworkOptions {
  std::string checkpoint, size, pack, feature = "bn", parts = "all";
  std::string device = "auto", precision = "f32", conv, gemm;
  bool flip = false;
  int batch = 64, threads = 0;
};

// Adds --device, --conv, --gemm, --precision and --threads, and of --checkpoint, --size, --pack, --feature, --parts,
// --flip and --batch those that are `taken`.
void add_network_options(CommandLine& app, NetworkOptions& options, const std::vector<std::string>& taken);

struct OpenedNetwork {
  std::unique_ptr<Engine> engine;
  EmbedOptions how;
  FeatureChoice choice;
  int parts = 0;           // pattern maps of the network
  std::string file;        // the checkpoint's name without its folder
  std::string checkpoint;  // its SHA-256
};

// Reads the checkpoint, chooses device and precision and makes the engine, with a line on stderr about each. `images`
// are those that it will embed, of the data set, or of none (null). `protocol`: empty if there is none; `program` is
// for warnings, `threads` the line about their number. UserError for options that the checkpoint does not allow, for a
// picture of the data set that is missing, for a pack without the pictures, and when memory is too small.
OpenedNetwork open_network(const NetworkOptions& options, const std::string& program, const std::string& protocol,
                           const Dataset* data, const std::vector<ImageRecord>& images, const std::string& threads);

struct Embedded {
  Embeddings embeddings;
  std::string feature;           // a description
  std::string checkpoint;        // SHA-256 of the file; empty if there is none
  Device device = Backend::cpu;  // that computed them
};
// The images, pictures below `root`, with the chosen pieces of the feature.
Embedded embed(const OpenedNetwork& network, const std::vector<ImageRecord>& images, const std::string& root);

// RegDB's split: `given`, else that of the checkpoint's training; 0 as given for other protocols and without a
// checkpoint. UserError when the model has seen people of the test set.
int chosen_split(int given, const std::string& protocol, const std::string& checkpoint);

// Registers the lists and pictures of the evaluation's data set as inputs (core/base/inputs.h). `data`: as typed.
// `read`: whether the program opens the pictures of the plans.
void register_data_set(const std::string& data, const std::string& protocol, const PlannedEvaluation& planned,
                       bool read);

}  // namespace mpanet
