// mpanet-report: runs as one HTML page: results, curves, ranked lists, pattern maps, configuration.
#include <filesystem>
#include <set>

#include "core/base/command_line.h"
#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/inputs.h"
#include "core/base/output.h"
#include "core/base/program.h"
#include "core/base/progress.h"
#include "core/base/text.h"
#include "core/base/threads.h"
#include "mpanet/evaluation/calibration.h"
#include "mpanet/evaluation/features.h"
#include "mpanet/network/vendors.h"
#include "mpanet/programs/embedding.h"
#include "mpanet/report/page.h"
#include "mpanet/training/provenance.h"

namespace {

using namespace mpanet;
constexpr const char* kProgram = "mpanet-report";
constexpr size_t kPersons = 4;          // with pattern maps, of each run
constexpr size_t kWorst = 100;          // queries in the list of the worst, of each run
constexpr size_t kWorstTogether = 300;  // of all runs, so that the page stays below 20 MB

constexpr const char* kAbout = R"(Shows runs as one HTML page that needs no network and no other file.

  mpanet-report runs/first --data SYSU-MM01
  mpanet-report runs/seeds/seed-0 runs/seeds/seed-1 --data SYSU-MM01 --out seeds.html
  mpanet-report runs/first --data SYSU-MM01 --features FOLDER   (embeddings that mpanet-eval saved))";

constexpr const char* kMore = R"(
A run folder is that of mpanet-train. Its best.safetensors, or last.safetensors if there is none, embeds the test set;
the protocol is that of the run's evaluations, else that of the data set's authors.

The page has the results beside the published ones, CMC and training curves, the distances of pairs, results by pair of
cameras, a map of the embeddings, pattern maps, the queries with the worst results and their ranked lists, the
configuration, provenance and the commands. Several runs stand side by side; of those that differ only in seed and split
it shows mean and deviation too. The same inputs give the same bytes.

The page contains pictures of the data set: what its authors' agreement says of them holds for the page.

Exit code 0: done; 2: bad input (one line on stderr says what).)";

struct ReportOptions : NetworkOptions {
  std::vector<std::string> runs;
  std::string data, features, out = "report.html", protocol, trials;
  bool no_pictures = false;
};

void add_options(CommandLine& app, ReportOptions& options) {
  app.add_option("RUN", options.runs, "run folders");
  app.add_option("--data", options.data, "the data set's folder, or a manifest; without it that of the run's training");
  app.add_option("--features", options.features, "folder of the run's embeddings, instead of its checkpoint");
  app.add_option("--out", options.out, "the page")->capture_default_str();
  app.add_flag("--no-pictures", options.no_pictures, "a page without pictures of people");
  app.add_option("--protocol", options.protocol, "as for mpanet-eval; without it that of the run's evaluations");
  app.add_option("--trials", options.trials, "trial file, if it stands elsewhere");
  add_network_options(app, options, {"--batch"});
}

void check_options(const ReportOptions& options) {
  if (options.runs.empty()) fail("expected run folders, got none (see --help)");
  if (!options.features.empty() && options.runs.size() > 1)
    fail("--features: embeddings of one run, got {} runs", options.runs.size());
  if (!options.no_pictures && !pictures_supported())
    fail("this build has no JPEG and no PNG support (MPANET_JPEG, MPANET_PNG): --no-pictures makes a page without");
  parse_precision_or_auto(options.precision, "--precision");
  choose_device(options.device);
}

std::vector<RunRecord> read_runs(const ReportOptions& options) {
  std::vector<RunRecord> runs;
  std::set<std::string> names, paths;
  for (const std::string& path : options.runs) {
    runs.push_back(read_run(path, options.features.empty()));
    std::error_code error;
    if (!paths.insert(std::filesystem::weakly_canonical(path, error).string()).second)
      fail("{}: expected each run once, got it twice", path);
    names.insert(runs.back().name);
  }
  if (names.size() < runs.size())
    for (RunRecord& run : runs) run.name = run.path;
  return runs;
}

// Fills in what the first run knows.
void complete(ReportOptions& options, const RunInputs& inputs) {
  if (options.data.empty()) options.data = inputs.data;
  if (options.data.empty()) fail("--data is needed: {} does not say where its data set was", options.runs.front());
  const DatasetKind kind = find_dataset_kind(options.data);
  if (options.protocol.empty() && !inputs.protocol.empty() && dataset_of(inputs.protocol) == kind)
    options.protocol = inputs.protocol;
  if (options.protocol.empty()) options.protocol = name_of(kind);
  std::error_code error;
  if (options.trials.empty() && options.protocol == "sysu" && std::filesystem::exists(inputs.trials, error))
    options.trials = inputs.trials;
}

PlannedEvaluation make_plans(const ReportOptions& options, const RunRecord& run) {
  ProtocolOptions wanted;
  wanted.protocol = options.protocol;
  wanted.root = options.data;
  wanted.trial_file = options.trials;
  wanted.split = chosen_split(0, options.protocol, run.checkpoint);
  if (!options.features.empty()) wanted.listed = [&] { return read_listed_images(options.features).images; };
  PlannedEvaluation planned = plan_evaluations(wanted);
  for (EvaluationPlan& plan : planned.plans) plan.more_ranks = curve_ranks();
  return planned;
}

void register_files(const ReportOptions& options, const PlannedEvaluation& planned) {
  for (const std::string& run : options.runs)
    for (const std::string& file : run_files(run)) register_input(file, "a file of a run");
  for (const std::string& file : feature_files(options.features)) register_input(file, "--features");
  register_input(options.trials, "--trials");
  register_data_set(options.data, options.protocol, planned, !options.no_pictures || options.features.empty());
}

// Embeds and measures one run.
RunResults results_of(const ReportOptions& options, const RunRecord& run, const PlannedEvaluation& planned,
                      const ThreadChoice& threads) {
  const std::vector<ImageRecord> images = images_of(planned.plans);
  RunResults results;
  results.record = run;
  results.data_root = planned.data.root;
  const size_t worst = std::min(kWorst, kWorstTogether / std::min(options.runs.size(), kWorstTogether));
  if (!options.features.empty()) {
    const FeatureFolder folder(options.features);
    if (!options.no_pictures) check_pictures(planned.data, images);
    const Embeddings embeddings = read_features(folder, images);
    note(threads.text);
    results.facts.feature = fmt::format("{} of {}", counted(folder.dimension(), "number"), options.features);
    measure(planned.plans, images, embeddings, worst, results);
    return results;
  }
  NetworkOptions network_options = options;
  network_options.checkpoint = run.checkpoint;
  const OpenedNetwork network =
      open_network(network_options, kProgram, options.protocol, &planned.data, images, threads.text);
  if (const auto calibration = read_calibration(run.checkpoint, network.checkpoint)) {
    const EmbedOptions& how = network.how;
    const LogisticCurve* curve = calibration->curve(planned.plans.front().distance, how.height, how.width, how.flip);
    if (curve != nullptr) results.calibrated = curve->threshold();
    results.calibration = calibration;
  }
  const Embedded embedded = embed(network, images, planned.data.root);
  results.facts = {embedded.feature, false, embedded.checkpoint, {}};
  if (!options.no_pictures && network.engine->map_shape().parts > 0)
    results.persons = map_persons(*network.engine, network.how, chosen_persons(images, kPersons), planned.data.root);
  measure(planned.plans, images, embedded.embeddings, worst, results);
  return results;
}

std::string why_no_maps(const ReportOptions& options, const std::vector<RunResults>& runs) {
  if (options.no_pictures) return "This page has no pictures (--no-pictures).";
  if (!options.features.empty()) return "The embeddings are those of a folder (--features), which has no pattern maps.";
  for (const RunResults& run : runs)
    if (!run.persons.empty()) return "";
  return "No run has pattern maps (num_parts is 0), or no person has pictures of both modalities.";
}

void report(ReportOptions options, const std::string& command) {
  const auto out = output_for_later(options.out);
  keep_stdout_for({options.out});
  const std::vector<RunRecord> runs = read_runs(options);
  complete(options, runs.front().inputs);
  const ThreadChoice threads = choose_threads(options.threads);
  if (!threads.warning.empty()) note(fmt::format("{}: warning: {}", kProgram, threads.warning));
  ReportPage page;
  page.data = options.data;
  page.command = command;
  page.dataset = dataset_of(options.protocol);
  for (const RunRecord& run : runs) {
    const PlannedEvaluation planned = make_plans(options, run);
    if (page.runs.empty()) {
      for (const std::string& line : planned.data.notes) note(line);
      for (const std::string& line : planned.notes) note("note: " + line);
      register_files(options, planned);
      check_no_input(options.out, options.out);
    }
    if (runs.size() > 1) note(fmt::format("run {} of {}: {}", page.runs.size() + 1, runs.size(), run.path));
    page.runs.push_back(results_of(options, run, planned, threads));
  }
  Thumbnails thumbnails;
  if (!options.no_pictures) page.thumbnails = &thumbnails;
  page.why_no_maps = why_no_maps(options, page.runs);
  const std::string html = page_html(page, usable_processors());
  write_file(*out, html);
  fmt::print("{}: {}, {}\n", printable(options.out), format_bytes(static_cast<double>(html.size())),
             counted(thumbnails.count(), "picture"));
}

int run(int argc, char** argv) {
  CommandLine app(kAbout, kProgram);
  app.footer(kMore);
  app.column_width(34);
  ReportOptions options;
  add_options(app, options);
  app.add_version([] { return version_text(kProgram); });
  if (const auto code = parse_command_line(app, argc, argv)) return *code;
  check_options(options);
  std::vector<std::string> words(argv, argv + argc);
  words.front() = kProgram;
  report(options, shell_command(words));
  return 0;
}

}  // namespace

int main(int argc, char** argv) { return program_main(kProgram, argc, argv, run); }
