// mpanet-data: verifies a data set, shows its statistics, makes a manifest, draws synthetic data, preprocesses a
// picture.
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "core/base/command_line.h"
#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/inputs.h"
#include "core/base/interrupt.h"
#include "core/base/number.h"
#include "core/base/number_list.h"
#include "core/base/output.h"
#include "core/base/program.h"
#include "core/base/progress.h"
#include "core/base/quote.h"
#include "core/base/text.h"
#include "core/base/threads.h"
#include "data/loading/pack.h"
#include "data/loading/stats.h"
#include "data/pictures/image.h"
#include "data/pictures/resize.h"
#include "data/sets/dataset_inputs.h"
#include "data/sets/import.h"
#include "data/sets/npy.h"
#include "data/sets/regdb.h"
#include "data/sets/verify.h"
#include "data/synth/synth.h"
#include "mpanet/training/provenance.h"

namespace {

using namespace mpanet;
constexpr const char* kProgram = "mpanet-data";
constexpr const char* kDatasetHelp = "sysu, regdb, llcm or csv; without it told by the lists that are there";

// Warns when more threads are asked for than the CPU quota allows.
void check_threads(int threads) {
  const std::string warning = quota_warning(threads);
  if (!warning.empty()) note(fmt::format("{}: warning: {}", kProgram, warning));
}

void set_images(SynthConfig& config, std::optional<int> images, std::optional<int> test_images) {
  constexpr int kEnoughToDiffer = 16;  // at least 12 pictures, of which a trial of multi shot draws 10
  const bool regdb = config.layout == DatasetKind::RegDb;
  config.images = images.value_or(regdb ? 10 : config.images);
  config.test_images = test_images.value_or(images || regdb ? 0 : kEnoughToDiffer);
}

int synth(const SynthConfig& config, const std::string& out, const std::string& sheet) {
  // Opened first although it is written last, so that a wrong path fails before the work.
  const auto picture = output_for_later(sheet);
  keep_stdout_for({sheet});
  check_threads(config.threads);
  const InterruptGuard guard;
  if (!write_synth(config, out, interrupted)) {
    note(fmt::format("{}: stopped; {} was not made", kProgram, out));
    return interrupt_exit_code();
  }
  fmt::print("{}: {} for training, {} for the test, seed {}\n", printable(out),
             counted(config.ids, "identity", "identities"), config.test_ids, config.seed);
  if (picture) {
    write_png(*picture, draw_synth_sheet(config, 10));
    picture->commit();
    fmt::print("{}: contact sheet\n", printable(sheet));
  }
  return 0;
}

int preprocess(const std::string& path, int height, int width, const std::string& out) {
  register_input(path, "IMAGE");
  OutputFile file(out, OutputFile::Open::Later);
  const Image image = resize_bilinear(decode_image(path), height, width);
  write_npy(file, {height, width, 3}, image.pixels.data());
  file.commit();
  return 0;
}

DatasetKind chosen_kind(const std::string& name, const std::string& root) {
  return name.empty() ? find_dataset_kind(root) : parse_dataset_kind(name);
}

int verify(const std::string& root, const std::string& kind_name, const std::string& trials, int threads) {
  check_threads(threads);
  const DatasetKind kind = chosen_kind(kind_name, root);
  const VerifyReport report = verify_dataset(kind, root, trials, threads, [](const std::string& line) { note(line); });
  fmt::print("{}: {}: {}, {} visible and {}", printable(root), name_of(kind),
             counted(report.identities, "identity", "identities"), report.visible,
             counted(report.infrared, "infrared image"));
  if (report.problems == 0)
    fmt::print("; all decode{}\n", report.names_compared ? ", names equal the trial file's" : "");
  else
    fmt::print("; {}\n", counted(report.problems, "problem"));
  for (const std::string& line : report.notes) fmt::print("{}\n", printable(line));
  if (const std::string published = published_counts(kind); !published.empty())
    fmt::print("for comparison, {}\n", published);
  return report.problems == 0 ? 0 : 2;
}

int stats(const std::string& root, const std::string& kind_name, int split, StatsOptions options) {
  check_threads(options.threads);
  const DatasetKind kind = chosen_kind(kind_name, root);
  if (split > splits_of(kind)) fail("--split: expected 1, as {} has one split, got {}", name_of(kind), split);
  if (kind == DatasetKind::RegDb && options.p_size == 0) options.p_size = 12, options.k_size = 10;
  if (options.p_size == 0) options.p_size = 16, options.k_size = 8;
  const Dataset data = read_dataset(kind, root, Split::Present, split);
  fmt::print("{}: {}{}\n{}", printable(root), name_of(kind),
             splits_of(kind) > 1 ? fmt::format(", split {}", split) : "", dataset_stats(data, options));
  for (const std::string& line : data.notes) fmt::print("{}\n", printable(line));
  return 0;
}

int import(const ImportOptions& options) {
  // The manifest may go to stdout.
  for (const std::string& line : import_folder(options).lines) note(line);
  return 0;
}

// All pictures of the data set; of RegDB those of all splits that it has.
std::vector<std::string> all_pictures(DatasetKind kind, const std::string& root, std::string& folder) {
  std::vector<std::string> paths;
  for (int split = 1; split <= splits_of(kind); split++) {
    if (kind == DatasetKind::RegDb && !has_regdb_lists(root, split)) continue;
    const Dataset data = read_dataset(kind, root, Split::Present, split);
    folder = data.root;
    for (const auto* images : {&data.train, &data.test})
      for (const ImageRecord& image : *images) paths.push_back(image.path);
  }
  return paths;
}

int pack(const std::string& root, const std::string& kind_name, const std::string& size_text, std::string out,
         int threads) {
  const auto size = parse_size(size_text);
  if (!size || size->first > 4096 || size->second > 4096)
    fail("--size: expected HEIGHTxWIDTH, each 1..4096, such as 384x128, got {}", quote(size_text));
  const auto [height, width] = *size;
  check_threads(threads);
  const DatasetKind kind = chosen_kind(kind_name, root);
  std::string folder;
  std::vector<std::string> paths = all_pictures(kind, root, folder);
  if (out.empty()) out = pack_path(folder, height, width);
  register_dataset(kind, root);
  const InterruptGuard guard;
  try {
    const PackReport report = write_pack(folder, std::move(paths), height, width, out, threads);
    fmt::print("{}: {} of {}x{}, {}{}\n", printable(out), counted(report.pictures, "picture"), height, width,
               format_bytes(static_cast<double>(report.bytes)),
               report.kept == 0 ? "" : fmt::format("; {} of them were packed before", report.kept));
    if (report.saved > 0)
      fmt::print("decoding and resizing took {:.2f} ms of a processor a picture; who reads the pack saves them\n",
                 1e3 * report.saved);
    fmt::print("read by mpanet-train --set data.pack={0} and mpanet-eval --pack {0}\n", shell_command({out}));
  } catch (const Interrupted&) {
    note(fmt::format("{}: stopped; {}.partial stays, and the same command goes on there", kProgram, out));
    return interrupt_exit_code();
  }
  return 0;
}

// The commands' options. Every command has its own function, called once it was parsed.
using Commands = std::vector<std::pair<CommandLine*, std::function<int()>>>;

void add_stats(CommandLine& app, Commands& commands) {
  struct Given {
    std::string root, kind;
    int split = 1;
    StatsOptions options;
  };
  const auto given = std::make_shared<Given>();
  auto* command = app.add_subcommand("stats",
                                     "Show what a data set holds: identities and images by part, modality and camera, "
                                     "sizes, batches an epoch.");
  command->add_option("DIR", given->root, "the data set's folder, or a CSV manifest")->required();
  command->add_option("--dataset", given->kind, kDatasetHelp);
  add_whole_number(*command, "--split", given->split, 1, kRegDbSplits, "of regdb");
  auto* p = add_whole_number(*command, "--p-size", given->options.p_size, 1, 4096,
                             "identities in a batch; without it as the authors")
                ->default_str("");
  auto* k = add_whole_number(*command, "--k-size", given->options.k_size, 2, 4096, "images of each")->default_str("");
  p->needs(k), k->needs(p);
  add_whole_number(*command, "--threads", given->options.threads, 0, 1024,
                   "0: one a processor that the program may use");
  given->options.p_size = 0;  // as the authors of the data set's configuration
  commands.emplace_back(command, [given] { return stats(given->root, given->kind, given->split, given->options); });
}

void add_import(CommandLine& app, Commands& commands) {
  const auto given = std::make_shared<ImportOptions>();
  auto* command =
      app.add_subcommand("import", "Make a CSV manifest of an ordinary folder tree. The data set is then csv.");
  command->add_option("DIR", given->root, "the tree's folder")->required();
  command
      ->add_option("--pattern", given->pattern,
                   "paths below DIR, such as \"{modality}/{identity}_c{camera}_*.jpg\". {identity}, {camera}, "
                   "{modality} and {split} (train, test, query, gallery) are taken, * is any text")
      ->required();
  command->add_option("--out", given->out, "the manifest; without it manifest.csv in DIR; must not exist");
  command->add_list("--visible", given->visible, "further words for the visible modality");
  command->add_list("--infrared", given->infrared, "further words for the infrared one");
  command->add_checked("--infrared-cameras", "numbers such as 3,6",
                       "without {modality}: the numbers of the infrared cameras, such as 3,6",
                       [given](const std::string& word) {
                         const auto cameras = parse_number_list(word, 0, 999);
                         if (cameras) given->infrared_cameras = *cameras;
                         return cameras.has_value();
                       });
  add_number(*command, "--test-share", given->test_share, 0, 1,
             "without {split}: the share of the identities that is for the test, 0.5 if not given; 0 and 1 make a "
             "manifest for training or for the test alone");
  command->add_flag("--query-visible", given->query_visible,
                    "the test's visible images are the queries; without it the infrared ones");
  commands.emplace_back(command, [given] { return import(*given); });
}

void add_synth(CommandLine& app, Commands& commands) {
  struct Given {
    SynthConfig config;
    std::string out, sheet, layout = "sysu", world = "plain";
    std::optional<int> images, test_images;
  };
  const auto given = std::make_shared<Given>();
  SynthConfig& config = given->config;
  auto* command = app.add_subcommand("synth",
                                     "Draw a synthetic data set: people whose identity lies in what both "
                                     "modalities show. The same options give the same bytes.");
  command->add_option("--out", given->out, "folder to make; must not exist or be empty")->required();
  command->add_option("--layout", given->layout, "sysu, regdb, llcm or csv: the data set whose layout it gets")
      ->capture_default_str();
  command
      ->add_option("--world", given->world,
                   "plain: people differ in clothes; hard: in small marks, with a strong change of modality")
      ->one_of({"plain", "hard"})
      ->capture_default_str();
  add_whole_number(*command, "--ids", config.ids, 2, 4000, "identities for training");
  add_whole_number(*command, "--test-ids", config.test_ids, 2, 4000, "further identities for the test");
  add_whole_number(*command, "--images", given->images, 1, 999,
                   "images of an identity by a camera, at most; at least three quarters of it (regdb: exactly). "
                   "Without it 5 (regdb 10)");
  add_whole_number(*command, "--test-images", given->test_images, 1, 999,
                   "the same for the test. Without it as --images, and without both 16, so that galleries of ten "
                   "images differ from trial to trial");
  add_whole_number(*command, "--seed", config.seed, 0, std::numeric_limits<uint64_t>::max(),
                   "another seed draws other people");
  add_whole_number(*command, "--threads", config.threads, 0, 1024,
                   "0: one a processor that the program may use; does not change the result");
  command->add_option("--sheet", given->sheet, "also write a contact sheet (PNG): ten identities by all cameras");
  commands.emplace_back(command, [given] {
    given->config.layout = parse_dataset_kind(given->layout);
    given->config.world = given->world == "hard" ? World::Hard : World::Plain;
    set_images(given->config, given->images, given->test_images);
    return synth(given->config, given->out, given->sheet);
  });
}

void add_preprocess(CommandLine& app, Commands& commands) {
  struct Given {
    std::string picture, npy;
    int height = 0, width = 0;
  };
  const auto given = std::make_shared<Given>();
  auto* command = app.add_subcommand("preprocess", "Decode and resize one picture as training and evaluation do.");
  command->add_option("IMAGE", given->picture, "JPEG, PNG or BMP")->required();
  add_whole_number(*command, "--height", given->height, 1, 8192, "pixels")->default_str("")->required();
  add_whole_number(*command, "--width", given->width, 1, 8192, "pixels")->default_str("")->required();
  command->add_option("--out", given->npy, "NumPy file: uint8 (height, width, 3), RGB")->required();
  commands.emplace_back(command,
                        [given] { return preprocess(given->picture, given->height, given->width, given->npy); });
}

void add_verify(CommandLine& app, Commands& commands) {
  struct Given {
    std::string root, kind, trials;
    int threads = 0;
  };
  const auto given = std::make_shared<Given>();
  auto* command = app.add_subcommand("verify",
                                     "Read a data set's lists, decode every picture, and compare the names with "
                                     "SYSU-MM01's trial file. Prints one line per error; exit code 0: no error, 2: "
                                     "errors.");
  command->add_option("DIR", given->root, "the data set's folder, or a CSV manifest")->required();
  command->add_option("--dataset", given->kind, kDatasetHelp);
  command->add_option("--trials", given->trials,
                      "trial file; else exp/ and evaluation/data_split/ are searched for rand_perm_cam.mat");
  add_whole_number(*command, "--threads", given->threads, 0, 1024, "0: one a processor that the program may use");
  commands.emplace_back(command, [given] { return verify(given->root, given->kind, given->trials, given->threads); });
}

void add_pack(CommandLine& app, Commands& commands) {
  struct Given {
    std::string root, kind, size, out;
    int threads = 0;
  };
  const auto given = std::make_shared<Given>();
  auto* command = app.add_subcommand("pack",
                                     "Decode and resize every picture once, into one file that training and evaluation "
                                     "read instead, for the same bits. Stopped, the same command goes on.");
  command->add_option("DIR", given->root, "the data set's folder, or a CSV manifest")->required();
  command->add_option("--size", given->size, "HEIGHTxWIDTH of the pictures, as image_size in the configuration")
      ->required();
  command->add_option("--out", given->out, "the pack; without it mpanet-HEIGHTxWIDTH.pack in the data set's folder");
  command->add_option("--dataset", given->kind, kDatasetHelp);
  add_whole_number(*command, "--threads", given->threads, 0, 1024, "0: one a processor that the program may use");
  commands.emplace_back(command,
                        [given] { return pack(given->root, given->kind, given->size, given->out, given->threads); });
}

int run(int argc, char** argv) {
  CommandLine app("Makes, checks and looks at data sets: SYSU-MM01, RegDB, LLCM and lists of one's own.", kProgram);
  app.require_subcommand();
  app.column_width(34);
  Commands commands;
  for (const auto add : {add_synth, add_verify, add_stats, add_import, add_pack, add_preprocess}) add(app, commands);
  app.add_version([] { return version_text(kProgram); });
  if (const auto code = parse_command_line(app, argc, argv)) return *code;
  for (const auto& [command, call] : commands)
    if (command->parsed()) return call();
  return 0;
}

}  // namespace

int main(int argc, char** argv) { return program_main(kProgram, argc, argv, run); }
