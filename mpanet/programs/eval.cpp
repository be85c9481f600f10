// mpanet-eval: evaluation by a published protocol of a network, of a folder of embeddings, or of random embeddings.
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "core/base/command_line.h"
#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/inputs.h"
#include "core/base/json.h"
#include "core/base/output.h"
#include "core/base/program.h"
#include "core/base/progress.h"
#include "core/base/text.h"
#include "core/base/threads.h"
#include "mpanet/evaluation/calibration.h"
#include "mpanet/evaluation/compare.h"
#include "mpanet/evaluation/evaluate.h"
#include "mpanet/evaluation/features.h"
#include "mpanet/evaluation/match_sheet.h"
#include "mpanet/evaluation/protocol.h"
#include "mpanet/evaluation/ranking.h"
#include "mpanet/evaluation/rerank.h"
#include "mpanet/evaluation/results.h"
#include "mpanet/evaluation/streamed_ranking.h"
#include "mpanet/programs/eval_options.h"
#include "mpanet/training/free_memory.h"
#include "mpanet/training/provenance.h"

namespace {

using namespace mpanet;
constexpr const char* kProgram = "mpanet-eval";

// The protocol: --protocol, or that of the data set's authors.
void choose_protocol(EvalOptions& options) {
  std::string& protocol = options.protocol.protocol;
  if (protocol.empty()) protocol = name_of(find_dataset_kind(options.data));
}

// No output may replace one of these.
void register_inputs(const EvalOptions& options, const PlannedEvaluation& planned) {
  register_input(options.checkpoint, "--checkpoint");
  if (!options.checkpoint.empty() && !options.calibrates())
    register_input(calibration_path(options.checkpoint), "the calibration");
  register_input(options.pack, "--pack");
  register_input(options.protocol.trial_file, "--trials");
  register_input(options.calibrate_ids, "--calibrate-ids");
  for (const std::string& file : feature_files(options.features)) register_input(file, "--features");
  const bool read = options.features.empty() || !options.sheet.empty();
  register_data_set(options.data, options.protocol.protocol, planned, read);
}

// The file that a path names, with the links of its folders followed.
std::filesystem::path resolved(const std::string& path) {
  std::error_code error;
  const bool special = std::filesystem::is_other(path, error);
  return special ? std::filesystem::path() : std::filesystem::weakly_canonical(path, error);
}

// No output may be another output.
void check_outputs_distinct(const EvalOptions& options) {
  std::map<std::filesystem::path, const char*> outputs;
  const auto add = [&](const char* option, const std::string& path) {
    const std::filesystem::path file = resolved(path);
    if (path.empty() || file.empty()) return;
    if (const auto [other, fresh] = outputs.emplace(file, option); !fresh)
      fail("{}: {} is {} too", option, quote(path), other->second);
  };
  add("--json", options.json);
  add("--sheet", options.sheet);
  if (options.calibrates()) add("the calibration", calibration_path(options.checkpoint));
  for (const std::string& file : feature_files(options.save_features)) add("--save-features", file);
}

// Makes the plans that the options select.
PlannedEvaluation make_plans(const EvalOptions& options) {
  ProtocolOptions wanted = options.protocol;
  wanted.root = options.data;
  wanted.split = chosen_split(wanted.split, wanted.protocol, options.checkpoint);
  if (!options.features.empty()) wanted.listed = [&] { return read_listed_images(options.features).images; };
  PlannedEvaluation planned = plan_evaluations(wanted);
  for (const std::string& line : planned.data.notes) note(line);
  for (const std::string& line : planned.notes) note("note: " + line);
  for (EvaluationPlan& plan : planned.plans) {
    if (!options.distance.empty()) plan.distance = parse_distance(options.distance);
    if (!options.cmc.empty()) plan.cmc = parse_cmc(options.cmc);
    plan.more_ranks = options.ranks;
    plan.rerank = options.rerank;
    if (options.rerank) check_rerank(plan);
  }
  return planned;
}

// The identities to calibrate on, ascending; none without calibration.
std::vector<int> held_identities(const EvalOptions& options, const std::vector<EvaluationPlan>& plans) {
  if (!options.calibrates()) return {};
  const std::vector<int> all = identities_of(plans);
  if (options.calibrate_share)
    return draw_identities(all, *options.calibrate_share, options.calibrate_seed.value_or(0));
  return read_identities(options.calibrate_ids, all);
}

// The plans of the result, without the identities to calibrate on.
std::vector<EvaluationPlan> reported_plans(const std::vector<EvaluationPlan>& plans, const std::vector<int>& held) {
  if (held.empty()) return plans;
  std::vector<EvaluationPlan> reported = plans_without(plans, held);
  for (const EvaluationPlan& plan : reported)
    if (plan.rerank) check_rerank(plan);
  return reported;
}

void check_rerank_memory(const std::vector<EvaluationPlan>& plans) {
  for (const EvaluationPlan& plan : plans) {
    const size_t needed = plan.rerank ? rerank_bytes(plan) : 0, free = free_memory();
    if (free > 0 && needed > free)
      fail("--rerank: the distances of {} images need {}, free are {}", plan.queries.size() + plan.gallery.size(),
           format_bytes(static_cast<double>(needed)), format_bytes(static_cast<double>(free)));
  }
}

Embedded chance(const EvalOptions& options, size_t images) {
  Embedded made;
  made.embeddings = chance_embeddings(images, *options.chance);
  made.feature = fmt::format("{}, seed {}", counted(made.embeddings.dimension, "random number"), *options.chance);
  return made;
}

using Results = std::vector<std::vector<SettingResult>>;  // of each plan

// The results, with facts about the embeddings.
struct Ranked {
  Results results;
  ResultFacts facts;
  Embeddings sheet;  // of the first plan, if there is a --sheet
};

// Memory for the ranking in bytes: --memory minus the memory that the program already uses, or the free memory.
size_t memory_left(const EvalOptions& options) {
  if (options.memory.empty()) {
    const size_t free = free_memory();
    return free > 0 ? free : SIZE_MAX;
  }
  const size_t wanted = parse_bytes(options.memory), held = resident_memory();
  if (wanted <= held)
    fail("--memory: {} are less than the {} that the lists of images take", format_bytes(static_cast<double>(wanted)),
         format_bytes(static_cast<double>(held)));
  return wanted - held;
}

Ranked rank_features(const EvalOptions& options, const std::vector<EvaluationPlan>& plans,
                     const ThreadChoice& threads) {
  const FeatureFolder folder(options.features);
  Ranked ranked;
  ranked.facts.feature = fmt::format("{} of {}", counted(folder.dimension(), "number"), options.features);
  const size_t needed = ranking_bytes(plans, folder.dimension());
  size_t left = memory_left(options);
  const bool whole = options.rerank || !options.save_features.empty() || !options.sheet.empty();
  if (needed <= left || (whole && options.memory.empty())) {
    const std::vector<ImageRecord> images = images_of(plans);
    const Embeddings embeddings = read_features(folder, images);
    if (!options.save_features.empty()) write_features(options.save_features, images, embeddings);
    note(threads.text);
    ranked.results = rank_plans(plans, images, embeddings);
    if (!options.sheet.empty()) ranked.sheet = embeddings_of(plans.front(), images, embeddings);
    return ranked;
  }
  if (whole)
    fail("--memory: --rerank, --sheet and --save-features need the embeddings in memory, {}",
         format_bytes(static_cast<double>(needed)));
  note(fmt::format("the embeddings are ranked in blocks from disk: {} are needed in memory, {} are there",
                   format_bytes(static_cast<double>(needed)), format_bytes(static_cast<double>(left))));
  note(threads.text);
  for (const EvaluationPlan& plan : plans) {
    EmbeddingRows rows;
    rows.rows = folder.rows();
    rows.dimension = folder.dimension();
    rows.read = [&](size_t first, size_t count, float* out) { folder.read(first, count, out); };
    for (const auto* images : {&plan.queries, &plan.gallery}) {
      const std::vector<size_t> own = folder.rows_of(*images);
      rows.images.insert(rows.images.end(), own.begin(), own.end());
    }
    const size_t list = rows.images.size() * sizeof(size_t);
    ranked.results.push_back(rank_streamed(plan, rows, left - std::min(left, list)));
    // The next direction has this much less.
    for (const SettingResult& result : ranked.results.back())
      left -= std::min(left, result.per_query.size() * sizeof(QueryResult));
  }
  return ranked;
}

// Fits the curves to the pairs of the identities that the result lacks.
Calibration fit(const PlannedEvaluation& planned, const std::vector<int>& held, const std::vector<ImageRecord>& images,
                const Embedded& all, const EmbedOptions& how) {
  Calibration calibration = calibrate(plans_of(planned.plans, held), images, all.embeddings);
  calibration.checkpoint = all.checkpoint;
  calibration.height = how.height;
  calibration.width = how.width;
  calibration.flip = how.flip;
  return calibration;
}

Ranked rank_network(const EvalOptions& options, const PlannedEvaluation& planned, const std::vector<int>& held,
                    const std::vector<EvaluationPlan>& plans, const ThreadChoice& threads) {
  const std::vector<ImageRecord> images = images_of(planned.plans);
  EmbedOptions how;
  const auto embedded = [&] {
    if (options.chance) return chance(options, images.size());
    const OpenedNetwork network =
        open_network(options, kProgram, options.protocol.protocol, &planned.data, images, threads.text);
    how = network.how;
    return embed(network, images, planned.data.root);
  };
  const Embedded all = embedded();
  if (!options.save_features.empty()) write_features(options.save_features, images, all.embeddings);
  if (options.chance) note(threads.text);
  Ranked ranked{{}, {all.feature, options.flip, all.checkpoint, {}}, {}};
  if (held.empty()) {
    ranked.results = rank_plans(plans, images, all.embeddings, all.device);
  } else {
    ranked.facts.calibration = fit(planned, held, images, all, how);
    const std::vector<ImageRecord> left = images_of(plans);
    ranked.results = rank_plans(plans, left, embeddings_of(left, images, all.embeddings), all.device);
  }
  if (!options.sheet.empty()) ranked.sheet = embeddings_of(plans.front(), images, all.embeddings);
  return ranked;
}

// Writes the calibration beside the checkpoint, and says what it is.
void store_calibration(OutputFile& file, const Calibration& calibration, Distance distance) {
  write_file(file, json_text(calibration_json(calibration)));
  const LogisticCurve& curve = calibration.curves.at(distance);
  fmt::print(
      "calibration: P(same person) = 1 / (1 + exp(-({:.6g} {:+.6g} d))), 0.5 at d = {:.6g}; {} and {}; the prior is "
      "{}\n"
      "calibration: {}\n",
      curve.intercept, curve.slope, curve.threshold(),
      counted(calibration.same_pairs, "pair of the same person", "pairs of the same person"),
      counted(calibration.different_pairs, "of different persons", "of different persons"), kCalibrationPrior,
      printable(file.path()));
}

void evaluate(EvalOptions options, const ThreadChoice& threads) {
  check_outputs_distinct(options);
  // Outputs that cannot be written are found before the data set is read, those that are inputs right after it.
  const auto json = output_for_later(options.json), sheet = output_for_later(options.sheet);
  const auto calibration = output_for_later(options.calibrates() ? calibration_path(options.checkpoint) : "");
  keep_stdout_for({options.json, options.sheet});
  choose_protocol(options);
  const PlannedEvaluation planned = make_plans(options);
  register_inputs(options, planned);
  for (const std::string& path : {options.json, options.sheet}) check_no_input(path, path);
  if (calibration) check_no_input(calibration->path(), calibration->path());
  if (!options.save_features.empty()) check_features_writable(options.save_features);
  const std::vector<int> held = held_identities(options, planned.plans);
  const std::vector<EvaluationPlan> plans = reported_plans(planned.plans, held);
  check_rerank_memory(plans);
  const Ranked ranked = options.features.empty() ? rank_network(options, planned, held, plans, threads)
                                                 : rank_features(options, plans, threads);
  ResultFacts printed = ranked.facts;
  printed.feature = printable(printed.feature);
  std::vector<Evaluation> evaluations;
  for (size_t i = 0; i < plans.size(); i++) {
    evaluations.push_back({plans[i], ranked.results[i]});
    fmt::print("{}", results_table(evaluations.back(), printed, options.per_trial));
  }
  if (json) write_file(*json, json_text(results_json(evaluations, ranked.facts)));
  if (sheet) write_match_sheet(*sheet, planned.data.root, plans.front(), ranked.sheet, options.worst);
  if (calibration) store_calibration(*calibration, *ranked.facts.calibration, plans.front().distance);
}

int run(int argc, char** argv) {
  CommandLine app(kEvalAbout, kProgram);
  app.footer(kEvalMore);
  app.column_width(34);
  EvalOptions options;
  add_eval_options(app, options);
  app.add_version([] { return version_text(kProgram); });
  if (const auto code = parse_command_line(app, argc, argv)) return *code;
  check_eval_options(app, options);
  if (!options.compared.empty()) return fmt::print("{}", compare_results(options.compared)), 0;
  if (options.list) {
    choose_protocol(options);
    const std::string& protocol = options.protocol.protocol;
    if (!options.checkpoint.empty() && protocol != "regdb")
      fail("--checkpoint: with --list only for regdb, whose split it has; protocol {} has none", protocol);
    if (!options.features.empty() && (protocol == "regdb" || protocol == "csv"))
      fail("--features: with --list only for sysu, agw and llcm; protocol {} has lists in the data set", protocol);
    return fmt::print("{}", images_text(images_of(make_plans(options).plans))), 0;
  }
  const ThreadChoice threads = choose_threads(options.threads);
  if (!threads.warning.empty()) note(fmt::format("{}: warning: {}", kProgram, threads.warning));
  evaluate(options, threads);
  return 0;
}

}  // namespace

int main(int argc, char** argv) { return program_main(kProgram, argc, argv, run); }
