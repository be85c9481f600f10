// mpanet-eval: the official evaluation of a network, of a folder of embeddings, or of random embeddings.
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <tuple>

#include "core/base/command_line.h"
#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/base/output.h"
#include "core/base/program.h"
#include "core/base/progress.h"
#include "core/base/text.h"
#include "core/base/threads.h"
#include "mpanet/evaluation/evaluate.h"
#include "mpanet/evaluation/features.h"
#include "mpanet/evaluation/match_sheet.h"
#include "mpanet/files/checkpoint.h"
#include "mpanet/network/vendors.h"
#include "mpanet/training/provenance.h"
#include "mpanet/training/train_plan.h"

namespace {

using namespace mpanet;
constexpr const char* kProgram = "mpanet-eval";

constexpr const char* kAbout = R"(Evaluates on SYSU-MM01's protocol: infrared queries, visible gallery.

  mpanet-eval --checkpoint runs/first/best.safetensors --data SYSU-MM01
  mpanet-eval --features FOLDER --data SYSU-MM01      (no picture needed, only exp/)
  mpanet-eval --chance 1 --data SYSU-MM01)";

constexpr const char* kMore = R"(
Prints the mean over ten trials of rank-1, 5, 10 and 20, mAP and mINP in percent, with the numbers of queries, gallery
images and queries without a right image (left out), for all and indoor search, single and multi shot.

Embeddings are L2-normalised, the distance is the squared Euclidean one; equal distances rank by ascending path, and an
embedding of zeros stays zero. Classifiers in the checkpoint are ignored: it may have been trained on any number of
identities.

A features folder holds features.npy, (N, D) float32, and images.csv with a line per row:
  path,identity,camera,modality
  cam1/0006/0001.jpg,6,1,visible
Rows may stand in any order; rows that the protocol does not need are left out.

The trial file rand_perm_cam.mat is looked for in exp/ and evaluation/data_split/ of the data set.

Exit code 0: done; 2: bad input (one line on stderr says what).)";

struct Options {
  std::string checkpoint, features, data, protocol = "sysu", trials, json, save_features, sheet, size;
  std::optional<uint64_t> chance;
  SettingFilter filter;
  bool per_trial = false;
  std::string device = "auto", precision = "f32", conv, gemm;
  int batch = 64, threads = 0;
};

void add_options(CommandLine& app, Options& options) {
  app.add_option("--checkpoint", options.checkpoint,
                 "last or best of a run, or other weights with the authors' names: safetensors or .pth");
  app.add_option("--features", options.features, "folder of embeddings, instead of --checkpoint");
  add_whole_number(app, "--chance", options.chance, 0, std::numeric_limits<uint64_t>::max(),
                   "SEED: random embeddings, instead of --checkpoint")
      ->type_name("SEED");
  app.add_option("--data", options.data, "the data set's folder, with cam1..cam6 and exp");
  app.add_option("--protocol", options.protocol, "sysu")->capture_default_str();
  app.add_option("--mode", options.filter.mode, "all or indoor; without it both");
  app.add_option("--shots", options.filter.shots, "single or multi; without it both");
  app.add_option("--trials", options.trials, "trial file, if it stands elsewhere");
  app.add_flag("--per-trial", options.per_trial, "print every trial's values too");
  app.add_option("--json", options.json, "write the results to this file");
  app.add_option("--save-features", options.save_features, "write the embeddings to this folder");
  app.add_option("--sheet", options.sheet, "PNG: some queries with their first ten, right ones green, wrong ones red");
  app.add_option("--size", options.size,
                 "HEIGHTxWIDTH of the pictures; without it as in training, 384x128 where the file does not say");
  app.add_option("--device", options.device, kDeviceHelp)->capture_default_str();
  app.add_option("--conv", options.conv, kConvHelp);
  app.add_option("--gemm", options.gemm, kGemmHelp);
  app.add_option("--precision", options.precision, "f32, f64, bf16 or f16")->capture_default_str();
  add_whole_number(app, "--batch", options.batch, 1, 4096, "pictures embedded at a time");
  add_whole_number(app, "--threads", options.threads, 1, 1024, kThreadsHelp)->default_str("");
}

void check_options(const Options& options) {
  const int sources = !options.checkpoint.empty() + !options.features.empty() + options.chance.has_value();
  if (sources != 1)
    fail("exactly one of --checkpoint, --features and --chance is needed, got {} (see --help)", sources);
  choose_vendors(options.conv, options.gemm, choose_device(options.device));
  parse_precision(options.precision, "--precision");
  if (options.data.empty()) fail("--data is needed (see --help)");
  if (!options.size.empty() && options.checkpoint.empty()) fail("--size: only with --checkpoint");
  // These names become part of the results.
  for (const std::string& name : {std::filesystem::path(options.checkpoint).filename().string(), options.features})
    if (!options.json.empty() && !is_utf8(name))
      fail("--json: expected a name in UTF-8, which JSON can hold, got {}", quote(name));
}

// Parses "384x128", height first.
void set_size(const std::string& text, ModelConfig& model) {
  const auto size = parse_size(text);
  if (!size || size->first > 9999 || size->second > 9999)
    fail("--size: expected HEIGHTxWIDTH such as 384x128, got {}", quote(text));
  std::tie(model.height, model.width) = *size;
}

Embeddings embed(const Options& options, const EvaluationPlan& plan, const ThreadChoice& threads) {
  const Checkpoint checkpoint(options.checkpoint);
  const Dataset data = read_dataset(parse_dataset_kind(options.protocol), options.data, Split::Test);
  const size_t others = check_images(plan, data.test);
  if (others > 0)
    note(fmt::format("note: {} not in the trial file or in no camera of the protocol",
                     counted(others, "test picture is", "test pictures are")));
  EngineConfig config;
  config.model = checkpoint.embedding_model();
  if (!options.size.empty())
    set_size(options.size, config.model);
  else if (!checkpoint.config())
    note(fmt::format("{}: warning: {} does not say for which pictures it was trained: {}x{} is assumed; --size sets it",
                     kProgram, options.checkpoint, config.model.height, config.model.width));
  config.precision = parse_precision(options.precision, "--precision");
  std::string why;
  config.device = choose_device(options.device, &why);
  note("device: " + why);
  note(threads.text);
  config.vendors = choose_vendors(options.conv, options.gemm, config.device);
  config.embed_batch = std::min(options.batch, static_cast<int>(plan.queries.size() + plan.gallery.size()));
  check_image_size(config.model);
  const size_t needed = plan_memory(config).total();
  const FreeMemory free = find_free_memory(config.device);
  const size_t available = config.device.backend == Backend::cuda ? free.gpu : free.host;
  note(fmt::format("network of depth {}, pictures {}x{}, {} of memory", config.model.depth, config.model.height,
                   config.model.width, format_bytes(static_cast<double>(needed))));
  if (available > 0 && needed > available)
    fail("the network needs {}, free are {}: take a smaller --batch", format_bytes(static_cast<double>(needed)),
         format_bytes(static_cast<double>(available)));
  const auto engine = make_engine(config);
  const WeightsReport weights = checkpoint.load_embedding(*engine);
  note(fmt::format("{}: {}", options.checkpoint, report_line(weights)));
  EmbedOptions how;
  how.height = config.model.height;
  how.width = config.model.width;
  how.batch = config.embed_batch;
  how.threads = usable_processors();
  return embed_images(*engine, plan, options.data, how);
}

std::string feature_of(const Options& options, const Embeddings& embeddings) {
  const std::string file = std::filesystem::path(options.checkpoint).filename().string();
  if (options.chance)
    return fmt::format("{}, seed {}", counted(embeddings.dimension, "random number"), *options.chance);
  if (!options.features.empty())
    return fmt::format("{} of {}", counted(embeddings.dimension, "number"), options.features);
  return fmt::format("BN neck output, {}, {}", counted(embeddings.dimension, "number"), file);
}

void evaluate(const Options& options, const ThreadChoice& threads) {
  // Output paths are checked before the pictures are embedded.
  const auto json = output_for_later(options.json), sheet = output_for_later(options.sheet);
  if (!options.save_features.empty()) check_features_writable(options.save_features);
  const EvaluationPlan plan = plan_evaluation(options.protocol, options.data, options.trials, options.filter);
  const Embeddings embeddings = options.chance             ? chance_embeddings(plan, *options.chance)
                                : options.features.empty() ? embed(options, plan, threads)
                                                           : read_features(options.features, plan);
  const std::string feature = feature_of(options, embeddings);
  if (!options.save_features.empty()) write_features(options.save_features, plan, embeddings);
  if (options.checkpoint.empty()) note(threads.text);
  const auto results = rank_embeddings(plan, embeddings);
  fmt::print("{}", results_table(plan, results, printable(feature), options.per_trial));
  if (json) write_file(*json, results_json(plan, results, feature).dump(2) + "\n");
  if (sheet) write_match_sheet(*sheet, options.data, plan, embeddings);
}

int run(int argc, char** argv) {
  CommandLine app(kAbout, kProgram);
  app.footer(kMore);
  app.column_width(34);
  Options options;
  bool version = false;
  add_options(app, options);
  app.add_flag("--version", version, "print commit, compiler, instruction set and library versions and exit");
  if (const auto code = parse_command_line(app, argc, argv)) return *code;
  if (version) return fmt::print("{}", version_text(kProgram)), 0;
  check_options(options);
  const ThreadChoice threads = choose_threads(options.threads);
  if (!threads.warning.empty()) note(fmt::format("{}: warning: {}", kProgram, threads.warning));
  evaluate(options, threads);
  return 0;
}

}  // namespace

int main(int argc, char** argv) { return program_main(kProgram, argc, argv, run); }
