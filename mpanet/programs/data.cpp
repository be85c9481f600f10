// mpanet-data: draws synthetic data sets, verifies a data set, preprocesses one picture.
#include <limits>

#include "core/base/command_line.h"
#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/interrupt.h"
#include "core/base/output.h"
#include "core/base/program.h"
#include "core/base/text.h"
#include "core/base/threads.h"
#include "data/pictures/image.h"
#include "data/pictures/resize.h"
#include "data/sets/npy.h"
#include "data/sets/verify.h"
#include "data/synth/synth.h"

namespace {

using namespace mpanet;
constexpr const char* kProgram = "mpanet-data";
constexpr const char* kDatasetHelp = "sysu, regdb, llcm or csv; without it told by the lists that are there";

// Warns when more threads are asked for than the CPU quota allows.
void check_threads(int threads) {
  const std::string warning = quota_warning(threads);
  if (!warning.empty()) note(fmt::format("{}: warning: {}", kProgram, warning));
}

int synth(const SynthConfig& config, const std::string& out, const std::string& sheet) {
  // Opened first although it is written last, so that a wrong path fails before the work.
  const auto picture = output_for_later(sheet);
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
  if (report.other_files > 0) fmt::print(", {} ignored", counted(report.other_files, "other file"));
  if (report.problems == 0)
    fmt::print("; all decode{}\n", report.names_compared ? ", names equal the trial file's" : "");
  else
    fmt::print("; {}\n", counted(report.problems, "problem"));
  for (const std::string& line : report.notes) fmt::print("{}\n", printable(line));
  if (const std::string published = published_counts(kind); !published.empty())
    fmt::print("for comparison, {}\n", published);
  return report.problems == 0 ? 0 : 2;
}

int run(int argc, char** argv) {
  CommandLine app("Makes, checks and looks at data sets: SYSU-MM01, RegDB, LLCM and lists of one's own.", kProgram);
  app.require_subcommand();
  app.column_width(34);

  SynthConfig config;
  std::string out, sheet;
  auto* make = app.add_subcommand("synth",
                                  "Draw a synthetic data set: people whose identity lies in what both "
                                  "modalities show, in SYSU-MM01's layout. The same options give the same "
                                  "bytes.");
  make->add_option("--out", out, "folder to make; must not exist or be empty")->required();
  add_whole_number(*make, "--ids", config.ids, 2, 4000, "identities for training");
  add_whole_number(*make, "--test-ids", config.test_ids, 2, 4000, "further identities for the test");
  add_whole_number(*make, "--images", config.images, 1, 999, "images of an identity by a camera, at most");
  add_whole_number(*make, "--seed", config.seed, 0, std::numeric_limits<uint64_t>::max(),
                   "another seed draws other people");
  add_whole_number(*make, "--threads", config.threads, 0, 1024,
                   "0: one a processor that the program may use; does not change the result");
  make->add_option("--sheet", sheet, "also write a contact sheet (PNG): ten identities by all cameras");

  std::string picture, npy;
  int height = 0, width = 0;
  auto* resize = app.add_subcommand("preprocess", "Decode and resize one picture as training and evaluation do.");
  resize->add_option("IMAGE", picture, "JPEG, PNG or BMP")->required();
  add_whole_number(*resize, "--height", height, 1, 8192, "pixels")->default_str("")->required();
  add_whole_number(*resize, "--width", width, 1, 8192, "pixels")->default_str("")->required();
  resize->add_option("--out", npy, "NumPy file: uint8 (height, width, 3), RGB")->required();

  std::string root, kind, trials;
  int threads = 0;
  auto* check = app.add_subcommand("verify",
                                   "Read a data set's lists, decode every picture, and compare the names with "
                                   "SYSU-MM01's trial file. Names what is wrong, one a line; exit 0: nothing, 2: "
                                   "something.");
  check->add_option("DIR", root, "the data set's folder, or a CSV manifest")->required();
  check->add_option("--dataset", kind, kDatasetHelp);
  check->add_option("--trials", trials,
                    "trial file; else exp/ and evaluation/data_split/ are searched for "
                    "rand_perm_cam.mat");
  add_whole_number(*check, "--threads", threads, 0, 1024, "0: one a processor that the program may use");

  if (const auto code = parse_command_line(app, argc, argv)) return *code;
  if (make->parsed()) return synth(config, out, sheet);
  if (resize->parsed()) return preprocess(picture, height, width, npy);
  return verify(root, kind, trials, threads);
}

}  // namespace

int main(int argc, char** argv) { return program_main(kProgram, argc, argv, run); }
