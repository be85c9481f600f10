#include "mpanet/programs/embedding.h"

#include <algorithm>
#include <filesystem>
#include <tuple>

#include "core/base/error.h"
#include "core/base/inputs.h"
#include "core/base/number.h"
#include "core/base/output.h"
#include "core/base/progress.h"
#include "core/base/sha256.h"
#include "core/base/text.h"
#include "core/base/threads.h"
#include "data/sets/dataset_inputs.h"
#include "data/synth/synth.h"
#include "mpanet/files/checkpoint.h"
#include "mpanet/network/vendors.h"
#include "mpanet/training/train_plan.h"

namespace mpanet {
namespace {

// Parses "384x128", height first.
void set_size(const std::string& text, ModelConfig& model) {
  const auto size = parse_size(text);
  if (!size || size->first > 9999 || size->second > 9999)
    fail("--size: expected HEIGHTxWIDTH such as 384x128, got {}", quote(text));
  std::tie(model.height, model.width) = *size;
}

// The picture size: --size, that of the training, or the authors' for the data set (docs/method.md, section 1).
void choose_size(const NetworkOptions& options, const std::string& program, const std::string& protocol,
                 const Checkpoint& checkpoint, ModelConfig& model) {
  if (!options.size.empty()) return set_size(options.size, model);
  if (checkpoint.config()) return;
  if (protocol == "regdb") model.height = 256, model.width = 128;
  note(fmt::format("{}: warning: {} does not say for which pictures it was trained: {}x{} is assumed; --size sets it",
                   program, options.checkpoint, model.height, model.width));
}

void check_engine_memory(const EngineConfig& config) {
  const size_t needed = plan_memory(config).total();
  const FreeMemory free = find_free_memory(config.device);
  const size_t available = config.device.backend == Backend::cuda ? free.gpu : free.host;
  note(fmt::format("network of depth {}, pictures {}x{}, {} of memory", config.model.depth, config.model.height,
                   config.model.width, format_bytes(static_cast<double>(needed))));
  if (available > 0 && needed > available)
    fail("the network needs {}, free are {}: take a smaller --batch", format_bytes(static_cast<double>(needed)),
         format_bytes(static_cast<double>(available)));
}

}  // namespace

void add_network_options(CommandLine& app, NetworkOptions& options, const std::vector<std::string>& taken) {
  const auto takes = [&](const char* name) { return std::find(taken.begin(), taken.end(), name) != taken.end(); };
  if (takes("--checkpoint"))
    app.add_option("--checkpoint", options.checkpoint,
                   "last or best of a run, or other weights with the authors' names: safetensors or .pth");
  if (takes("--size"))
    app.add_option("--size", options.size,
                   "HEIGHTxWIDTH of the pictures; without it as in training; where the file does not say, 384x128, or "
                   "256x128 for regdb");
  if (takes("--pack"))
    app.add_option("--pack", options.pack, "file of mpanet-data pack, whose pictures need no decoding");
  if (takes("--feature"))
    app.add_option("--feature", options.feature, "bn or before-bn: the BN neck's output or its input")
        ->capture_default_str();
  if (takes("--parts"))
    app.add_option("--parts", options.parts, "all, or some of the feature's pieces: 1,3,global")->capture_default_str();
  if (takes("--flip"))
    app.add_flag("--flip", options.flip, "the mean of the embeddings of each picture and its mirror image");
  app.add_option("--device", options.device, kDeviceHelp)->capture_default_str();
  app.add_option("--conv", options.conv, kConvHelp);
  app.add_option("--gemm", options.gemm, kGemmHelp);
  app.add_option("--precision", options.precision, kPrecisionHelp)->capture_default_str();
  if (takes("--batch")) add_whole_number(app, "--batch", options.batch, 1, 4096, "pictures embedded at a time");
  add_whole_number(app, "--threads", options.threads, 1, 1024, kThreadsHelp)->default_str("");
}

OpenedNetwork open_network(const NetworkOptions& options, const std::string& program, const std::string& protocol,
                           const Dataset* data, const std::vector<ImageRecord>& images, const std::string& threads) {
  const Checkpoint checkpoint(options.checkpoint);
  if (data != nullptr) check_pictures(*data, images);
  EngineConfig config;
  config.model = checkpoint.embedding_model();
  OpenedNetwork network;
  network.parts = config.model.parts;
  network.choice = parse_feature(options.feature, options.parts, network.parts);
  choose_size(options, program, protocol, checkpoint, config.model);
  std::string why;
  config.device = choose_device(options.device, &why);
  note("device: " + why);
  config.precision = choose_precision(parse_precision_or_auto(options.precision, "--precision"), config.device, &why);
  note("precision: " + why);
  note(threads);
  config.vendors = choose_vendors(options.conv, options.gemm, config.device);
  config.embed_batch = std::min(options.batch, static_cast<int>(images.size()));
  take_bytes(config);
  check_image_size(config.model);
  check_engine_memory(config);
  network.engine = make_engine(config);
  note(fmt::format("{}: {}", options.checkpoint, report_line(checkpoint.load_embedding(*network.engine))));
  if (network.choice.before_neck) bypass_neck(*network.engine);
  network.how.height = config.model.height;
  network.how.width = config.model.width;
  network.how.batch = config.embed_batch;
  network.how.threads = usable_processors();
  network.how.flip = options.flip;
  send_pictures_to(*network.engine, network.how);
  if (!options.pack.empty()) {
    const auto pack = std::make_shared<const Pack>(options.pack, data != nullptr ? data->root : "", network.how.height,
                                                   network.how.width);
    pack->require(images);
    network.how.pack = pack;
  }
  network.file = std::filesystem::path(options.checkpoint).filename().string();
  network.checkpoint = sha256_of_file(options.checkpoint);
  return network;
}

Embedded embed(const OpenedNetwork& network, const std::vector<ImageRecord>& images, const std::string& root) {
  Embedded made{embed_images(*network.engine, images, root, network.how), describe(network.choice, network.parts),
                network.checkpoint, network.engine->device()};
  keep_pieces(network.choice, network.parts, made.embeddings);
  made.feature += fmt::format(", {}, {}", counted(made.embeddings.dimension, "number"), network.file);
  return made;
}

int chosen_split(int given, const std::string& protocol, const std::string& file) {
  if (protocol != "regdb" || file.empty()) return given;
  const Checkpoint checkpoint(file);
  const bool known = checkpoint.config() && checkpoint.config()->dataset == DatasetKind::RegDb;
  const int split = given > 0 ? given : known ? checkpoint.config()->split : 1;
  if (known) check_unseen(*checkpoint.config(), DatasetKind::RegDb, split, file);
  note(fmt::format("RegDB's split {}{}", split,
                   checkpoint.config() ? "" : "; the file does not say on which split it was trained"));
  return split;
}

void register_data_set(const std::string& data, const std::string& protocol, const PlannedEvaluation& planned,
                       bool read) {
  for (const DatasetKind kind : kDatasetKinds)
    for (const std::string& list : dataset_lists(kind, data)) register_input(list, "a list of --data");
  register_input(data + "/" + kDrawnName, "a file of --data");
  register_pictures(dataset_of(protocol), data, "a picture of --data");
  if (!read) return;
  for (const ImageRecord& image : images_of(planned.plans))
    register_input((std::filesystem::path(planned.data.root) / image.path).string(), "a picture of --data");
}

}  // namespace mpanet
