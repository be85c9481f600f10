#include "mpanet/programs/eval_options.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <limits>

#include "core/base/error.h"
#include "core/base/json.h"
#include "core/base/text.h"
#include "core/base/threads.h"
#include "mpanet/network/vendors.h"
#include "mpanet/training/train_plan.h"

namespace mpanet {

const char* const kEvalAbout = R"(Evaluates by a published protocol.

  mpanet-eval --checkpoint runs/first/best.safetensors --data SYSU-MM01
  mpanet-eval --features FOLDER --data SYSU-MM01      (no picture needed, only exp/)
  mpanet-eval --chance 1 --data SYSU-MM01 --protocol agw
  mpanet-eval --compare a.json b.json                 (files of --json))";

const char* const kEvalMore = R"(
Protocols:
  sysu           SYSU-MM01's official one: all and indoor search, single and multi shot, ten trials of the trial file
                 rand_perm_cam.mat, looked for in exp/ and evaluation/data_split/ of the data set
  agw            SYSU-MM01 as the AGW code base evaluates it: single shot, ten trials drawn by Python's generator; needs
                 no trial file
  regdb          both directions of a split, squared Euclidean distance without normalisation; as AGW's code does it:
                 --distance cosine --cmc images
  llcm           both directions, ten trials with one gallery picture per identity and camera
  llcm-released  the same as the released script does it: visible to infrared it draws the queries
  csv            queries and gallery of a manifest

Prints rank-1, 5, 10 and 20, mAP and mINP in percent, mean and standard deviation (n - 1) over the trials, with the
numbers of queries, gallery images and queries without a right image (left out).

Without options distance, feature and the rest are what the protocol's authors take. Equal distances rank by ascending
path. Classifiers in the checkpoint are ignored: it may have been trained on any number of identities.

A features folder holds features.npy, (N, D) float16, float32 or float64, and images.csv with a line per row:
  path,identity,camera,modality
  cam1/0006/0001.jpg,6,1,visible
Rows may stand in any order; rows that the protocol does not need are left out. --list prints such a list of what it
needs.

Calibration fits the probability that two pictures show the same person to their distance. It is stored beside the
checkpoint, in CHECKPOINT.calibration.json, where mpanet-compare, mpanet-report and the library find it.

Exit code 0: done; 2: bad input (one line on stderr says what).)";

namespace {

// Parses "2,50"; empty if the text is not a list of ranks.
std::vector<int> parse_ranks(std::string_view text) {
  std::vector<int> ranks;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t comma = std::min(text.find(',', begin), text.size());
    const auto rank = parse_whole<int>(text.substr(begin, comma - begin));
    if (!rank || *rank < 1) return {};
    ranks.push_back(*rank);
    begin = comma + 1;
  }
  return ranks;
}

// Options that need a network.
void check_network_options(const EvalOptions& options) {
  if (!options.checkpoint.empty()) return;
  if (!options.size.empty()) fail("--size: only with --checkpoint");
  if (!options.pack.empty()) fail("--pack: only with --checkpoint");
  if (options.flip) fail("--flip: only with --checkpoint");
  if (options.feature != "bn") fail("--feature: only with --checkpoint");
  if (options.parts != "all") fail("--parts: only with --checkpoint");
}

// A calibration is that of whole embeddings of the BN neck's output, which mpanet-compare and the library compare.
void check_calibration_options(const EvalOptions& options) {
  if (options.calibrate_seed && !options.calibrate_share) fail("--calibrate-seed: only with --calibrate-share");
  if (!options.calibrates()) return;
  const char* option = options.calibrate_share ? "--calibrate-share" : "--calibrate-ids";
  if (options.calibrate_share && !options.calibrate_ids.empty()) fail("{}: not with --calibrate-ids", option);
  if (options.checkpoint.empty()) fail("{}: only with --checkpoint", option);
  if (options.feature != "bn") fail("{}: not with --feature", option);
  if (options.parts != "all") fail("{}: not with --parts", option);
}

}  // namespace

void add_eval_options(CommandLine& app, EvalOptions& options) {
  add_network_options(app, options, {"--checkpoint", "--size", "--pack", "--feature", "--parts", "--flip", "--batch"});
  app.add_option("--features", options.features, "folder of embeddings, instead of --checkpoint");
  add_whole_number(app, "--chance", options.chance, 0, std::numeric_limits<uint64_t>::max(),
                   "SEED: random embeddings, instead of --checkpoint")
      ->type_name("SEED");
  app.add_option("--data", options.data, "the data set's folder; csv: or the manifest");
  options.protocol.protocol.clear();
  app.add_option("--protocol", options.protocol.protocol,
                 "see below; without it that of the folder's data set: sysu, regdb, llcm or csv");
  app.add_option("--mode", options.protocol.filter.mode, "all or indoor; without it both");
  app.add_option("--shots", options.protocol.filter.shots, "single or multi; without it all that the protocol has");
  add_whole_number(app, "--split", options.protocol.split, 1, kRegDbSplits,
                   "regdb: 1 to 10; without it the model's, else 1")
      ->default_str("");
  app.add_flag("--camera-filter", options.protocol.skip_same_camera,
               "csv: a query does not see its identity's pictures of its own camera");
  app.add_flag("--single-shot", options.protocol.single_shot,
               "csv: ten trials, each with one gallery picture per identity and camera, drawn as in agw");
  app.add_option("--direction", options.protocol.direction,
                 "infrared-to-visible or visible-to-infrared; without it all that the protocol has");
  app.add_option("--trials", options.protocol.trial_file, "trial file, if it stands elsewhere");
  app.add_option("--distance", options.distance,
                 "euclidean-unit (squared, L2-normalised), euclidean (squared, as they are) or cosine");
  app.add_flag("--rerank", options.rerank, "k-reciprocal re-ranking (k1 20, k2 6, lambda 0.3)");
  app.add_option("--cmc", options.cmc, "identities or images: what CMC counts");
  app.add_checked("--ranks", "ranks such as 2,50", "further ranks of CMC: 2,50", [&](const std::string& word) {
    options.ranks = parse_ranks(word);
    return !options.ranks.empty();
  });
  app.add_option("--memory", options.memory, "of --features at most: 512M, 2G; more is ranked in blocks from disk");
  app.add_option("--calibrate-ids", options.calibrate_ids,
                 "calibrates the distance on the pairs of the identities in this file, between commas and line ends, "
                 "and leaves them out of the result");
  add_number(app, "--calibrate-share", options.calibrate_share, 0.001, 0.999,
             "the same on a part of the identities, drawn by --calibrate-seed: 0.2");
  add_whole_number(app, "--calibrate-seed", options.calibrate_seed, 0, std::numeric_limits<uint64_t>::max(),
                   "of --calibrate-share; without it 0")
      ->type_name("SEED");
  app.add_option("--compare", options.compared, "result files of --json, side by side");
  app.add_flag("--list", options.list, "print the pictures that the protocol needs, as in images.csv, and exit");
  app.add_flag("--per-trial", options.per_trial, "print every trial's values too");
  app.add_option("--json", options.json, "write the results to this file");
  app.add_option("--save-features", options.save_features, "write the embeddings to this folder");
  app.add_option("--sheet", options.sheet,
                 "PNG: some queries with their first ten, right ones green, wrong ones red, ranks and distances");
  app.add_flag("--worst", options.worst, "of --sheet: the queries with the lowest average precision");
}

size_t parse_bytes(const std::string& text) {
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string_view unit(end, text.data() + text.size() - end);
  for (const auto& [letter, shift] : {std::pair("K", 10), std::pair("M", 20), std::pair("G", 30), std::pair("T", 40)})
    if (error == std::errc() && (unit == letter || unit == letter + std::string("iB")) && number < uint64_t{1} << 20)
      return number << shift;
  if (error != std::errc() || !unit.empty() || text.empty())
    fail("--memory: expected a size such as 512M or 2G, got {}", quote(text));
  return number;
}

void check_eval_options(const CommandLine& app, const EvalOptions& options) {
  const auto refuse = [](const char* option, const char* takes, const std::string& other) {
    if (!other.empty()) fail("{}: takes {}, got {} too", option, takes, other);
  };
  if (!options.compared.empty()) return refuse("--compare", "result files alone", app.given_besides({"--compare"}));
  if (options.data.empty() && options.list) fail("--data is needed (see --help)");
  if (options.list)
    return refuse(
        "--list", "--data and what chooses the protocol",
        app.given_besides({"--list", "--data", "--checkpoint", "--features", "--protocol", "--mode", "--shots",
                           "--split", "--camera-filter", "--single-shot", "--direction", "--trials"}));
  const int sources = !options.checkpoint.empty() + !options.features.empty() + options.chance.has_value();
  if (sources != 1)
    fail("exactly one of --checkpoint, --features and --chance is needed, got {} (see --help)", sources);
  choose_vendors(options.conv, options.gemm, choose_device(options.device));
  parse_precision_or_auto(options.precision, "--precision");
  for (size_t i = 0; i < options.ranks.size(); i++) {
    const int rank = options.ranks[i];
    if (rank == 1 || rank == 5 || rank == 10 || rank == 20) fail("--ranks: {} is among the results without it", rank);
    if (std::count(options.ranks.begin(), options.ranks.end(), rank) > 1) fail("--ranks: {} stands twice", rank);
  }
  if (options.data.empty()) fail("--data is needed (see --help)");
  if (options.worst && options.sheet.empty()) fail("--worst: only with --sheet");
  check_network_options(options);
  check_calibration_options(options);
  if (!options.memory.empty() && options.features.empty()) fail("--memory: only with --features");
  if (!options.memory.empty()) parse_bytes(options.memory);
  // These names become part of the results.
  for (const std::string& name : {std::filesystem::path(options.checkpoint).filename().string(), options.features})
    if (!options.json.empty() && !is_utf8(name))
      fail("--json: expected a name in UTF-8, which JSON can hold, got {}", quote(name));
}

}  // namespace mpanet
