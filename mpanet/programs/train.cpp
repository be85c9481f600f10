// mpanet-train: trains MPANet, or resumes a run.
#include "mpanet/training/train.h"

#include <limits>

#include "core/base/command_line.h"
#include "core/base/error.h"
#include "core/base/number_list.h"
#include "core/base/output.h"
#include "core/base/program.h"
#include "core/base/quote.h"
#include "core/base/text.h"
#include "core/base/threads.h"
#include "mpanet/config/config_keys.h"
#include "mpanet/config/shipped_configs.h"
#include "mpanet/network/vendors.h"
#include "mpanet/report/run_list.h"
#include "mpanet/training/experiment.h"
#include "mpanet/training/provenance.h"

namespace {

using namespace mpanet;
constexpr const char* kProgram = "mpanet-train";

constexpr const char* kAbout = R"(Trains MPANet on SYSU-MM01, RegDB, LLCM or a CSV manifest of one's own pictures.

  mpanet-train --config sysu --data SYSU-MM01 --out runs/first
  mpanet-train --out runs/first --resume
  mpanet-train --config regdb --data RegDB --splits 1..10 --out runs/regdb)";

constexpr const char* kMore = R"(
The run folder holds
  lock               empty; locked while a program trains in this folder
  last.safetensors   the network and all that --resume needs, written every checkpoint_seconds seconds and every
                     checkpoint_every steps, whichever is first, beside the training; at the end of every epoch and
                     on Ctrl-C (exit 130; a second one, a second later, stops at once and keeps the file before).
                     SIGTERM, SIGHUP and SIGUSR1 do the same; what nohup ignores stays ignored
  best.safetensors   the network alone, of the evaluation with the highest rank-1 on the test set (SYSU-MM01: all
                     search, single shot; RegDB and LLCM: mean of both directions); loads into the authors' network. An evaluation runs every eval_interval epochs after
                     start_eval and after the last epoch; with eval_interval 0 none runs, and there is no best
  log.jsonl          one JSON object a line: "kind" is step, epoch or evaluation
  log.csv            the same as a table, and events.out.tfevents.mpanet for TensorBoard
  config.json        the configuration with every default; a valid --config
  inputs.json        where the data set lies, for --resume
  initial.txt        with --init: the tensors taken from that file, not used, and drawn at random
  vendors.json       what runs convolutions and products, by shape: on a GPU with --conv or --gemm, on a CPU where oneDNN
                     runs any, or with --conv; kept when the run goes on
  provenance.json    commit, compiler, instruction set, libraries, threads, seed

With --splits, --seeds or --sweep the run folder holds a folder for each run and summary.json: the best and the last
evaluation of each run, mean and standard deviation. The same command goes on after any stop, and leaves alone what is
complete.

Resuming gives the same bits as one go on the same machine, build and number of threads; of a complete run, and of
one that has all steps up to --max-steps, it changes nothing. These keys may change then:
CHANGEABLE

Exit code 0: done; 2: bad input (one line on stderr says what); 130: stopped by Ctrl-C, saved; 128 + n for
signal n: 129 SIGHUP, 138 SIGUSR1, 143 SIGTERM.)";

// kMore with the keys that may change, in lines of the help's width.
std::string more() {
  constexpr size_t kWidth = 118;
  std::string keys, text = kMore;
  size_t line = 0;
  for (const std::string& key : changeable_keys()) {
    const bool wraps = line + key.size() + 2 > kWidth;
    if (!keys.empty()) keys += wraps ? ",\n" : ", ";
    line = (wraps ? 0 : line) + key.size() + 2;
    keys += key;
  }
  const std::string_view word = "CHANGEABLE";
  return text.replace(text.find(word), word.size(), keys);
}

// A hint for an unknown option that is a key of the configuration: "--lr" is "--set lr=VALUE".
std::string about_key(const std::string& option, const std::string& value) {
  std::string path = option.substr(std::min(option.find_first_not_of('-'), option.size()));
  std::replace(path.begin(), path.end(), '-', '_');
  const ConfigKey* key = find_config_key(path);
  if (key == nullptr) return "";
  return fmt::format("which is a key of the configuration: --set {}",
                     shell_quote(path + "=" + (value.empty() ? "VALUE" : value)));
}

void add_numbers(CommandLine& app, const std::string& name, int low, int high, std::vector<int>& numbers,
                 const std::string& help) {
  const std::string allowed = fmt::format("numbers in {}..{} such as 1,3,5..7", low, high);
  app.add_checked(name, allowed, help, [=, &numbers](const std::string& word) {
    std::string why;
    const auto parsed = parse_number_list(word, low, high, &why);
    if (!why.empty()) fail("{}: expected {}, got {}{}", name, allowed, quote(word), why);
    if (parsed) numbers = *parsed;
    return parsed.has_value();
  });
}

int run(int argc, char** argv) {
  CommandLine app(kAbout, kProgram);
  app.footer(more());
  app.column_width(34);
  app.take_last();
  TrainOptions options;
  std::string device = "auto", precision, seed, split;
  bool help_config = false, markdown = false, no_graph = false;
  app.add_option("--config", options.config,
                 "JSON file (see --help-config), YAML file of the authors' code, or the name of one that comes with "
                 "the program: sysu, regdb, llcm, demo, ablation/base "
                 "(+ /mam, /pam, /mutual, /center_cluster, /all); not needed with --resume");
  app.add_option("--data", options.data,
                 "the data set's folder, or a CSV manifest; not needed with --resume while it lies where it did");
  app.add_option("--out", options.out, "run folder to make, or with --resume to go on in");
  app.add_option("--trials", options.trials,
                 "trial file for the evaluation; else exp/ and evaluation/data_split/ of the data set are searched for "
                 "rand_perm_cam.mat");
  app.add_option("--init", options.init,
                 "initial weights: safetensors or .pth, with torchvision's names of a ResNet or the authors'");
  app.add_option("--set", options.settings, "changes the configuration; takes several, and may be given again")
      ->type_name("KEY=VALUE")
      ->take_all();
  app.add_flag("--resume", options.resume, "go on from last.safetensors; starts the run if there is none yet");
  add_whole_number(app, "--max-steps", options.max_steps, 0, std::numeric_limits<int64_t>::max(),
                   "stop after this step, counted from the run's first; 0 writes the initial network");
  app.add_option("--split", split, "of RegDB; the same as --set split=...");
  ExperimentOptions experiment;
  add_numbers(app, "--splits", 1, kRegDbSplits, experiment.splits, "splits of RegDB, a run each: 1..10, or 1,3,5..7");
  add_numbers(app, "--seeds", 0, 1000000, experiment.seeds, "seeds, a run each: 0..4");
  app.add_option("--sweep", experiment.sweep, "JSON file {\"lr\": [0.001, 0.0005], ...}: a run for each combination");
  app.add_option("--device", device, kDeviceHelp)->capture_default_str();
  app.add_option("--conv", options.conv, kConvHelp);
  app.add_option("--gemm", options.gemm, kGemmHelp);
  app.add_flag("--no-graph", no_graph,
               "on a GPU: launch each kernel of a step by itself, not a CUDA graph; slower, the same bits");
  app.add_option("--precision", precision, std::string(kPrecisionHelp) + "; the same as --set precision=...");
  app.add_option("--seed", seed, "the same as --set seed=...");
  add_whole_number(app, "--threads", options.threads, 1, 1024, kThreadsHelp)->default_str("");
  std::string list;
  app.add_option("--list", list, "print a line for each run in this folder and exit")->type_name("DIR");
  const auto* help_flag = app.add_flag("--help-config", help_config, "list every configuration key and exit");
  app.add_flag("--markdown", markdown, "with --help-config: as the table in docs/using.md")->needs(help_flag);
  app.add_version([] { return version_text(kProgram); });
  if (const auto code = parse_command_line(app, argc, argv, about_key)) return *code;
  if (!list.empty()) {
    if (const std::string other = app.given_besides({"--list"}); !other.empty())
      fail("--list: takes a folder alone, got {} too", other);
    return fmt::print("{}", list_runs(list)), 0;
  }
  if (help_config) return fmt::print("{}", markdown ? config_table() : config_help()), 0;
  if (options.data.empty() && !options.resume) fail("--data is needed (see --help)");
  if (options.out.empty()) fail("--out is needed (see --help)");
  if (!options.config.empty()) options.config = find_config(options.config);
  for (const char* key : {"precision", "seed", "split"})
    if (const auto text = app.given(fmt::format("--{}", key))) options.keys.emplace_back(key, *text);
  options.program = argv[0];
  for (const char* name : {"--device", "--conv", "--gemm", "--threads", "--max-steps"})
    if (const auto text = app.given(name)) options.repeated.insert(options.repeated.end(), {name, *text});
  std::string why;
  options.device = choose_device(device, &why);
  if (no_graph && options.device.backend != Backend::cuda)
    fail("--no-graph: expected a GPU, got {}", name_of(options.device));
  options.graph = !no_graph;
  if (no_graph) options.repeated.insert(options.repeated.end(), {"--no-graph"});
  options.device_line = "device: " + why + "\n";
  if (experiment.splits.empty() && experiment.seeds.empty() && experiment.sweep.empty()) return train(options);
  for (const char* key : {"split", "seed"})
    if (app.given(fmt::format("--{}s", key)) && app.given(fmt::format("--{}", key)))
      fail("--{}s: expected no --{} beside it", key, key);
  experiment.command = shell_command({argv, argv + argc});
  return run_experiment(options, experiment);
}

}  // namespace

int main(int argc, char** argv) { return program_main(kProgram, argc, argv, run); }
