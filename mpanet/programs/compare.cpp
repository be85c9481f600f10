// mpanet-compare: the distance of two pictures, and where the network looks in both.
#include <filesystem>
#include <optional>

#include "core/base/command_line.h"
#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/inputs.h"
#include "core/base/output.h"
#include "core/base/program.h"
#include "core/base/text.h"
#include "core/base/threads.h"
#include "data/pictures/sheet.h"
#include "mpanet/evaluation/calibration.h"
#include "mpanet/evaluation/pair_distances.h"
#include "mpanet/network/vendors.h"
#include "mpanet/programs/embedding.h"
#include "mpanet/report/pattern_pictures.h"
#include "mpanet/training/provenance.h"

namespace {

using namespace mpanet;
constexpr const char* kProgram = "mpanet-compare";

constexpr const char* kAbout = R"(Prints the distance of two pictures by a network's embeddings.

  mpanet-compare --checkpoint runs/first/best.safetensors a.jpg b.jpg
  mpanet-compare --checkpoint runs/first/best.safetensors a.jpg b.jpg --sheet ab.png)";

constexpr const char* kMore = R"(
Either picture may be visible or infrared, and shows one person who fills it. A distance is not a probability. The
probability is printed too if mpanet-eval has calibrated the checkpoint (--calibrate-share), for pictures like those of
its calibration and for pairs that are as often of the same person as of different ones.

Exit code 0: done; 2: bad input (one line on stderr says what).)";

struct CompareOptions : NetworkOptions {
  std::vector<std::string> pictures;
  std::string sheet, distance = "euclidean-unit";
};

void add_options(CommandLine& app, CompareOptions& options) {
  app.add_option("PICTURE", options.pictures, "two pictures: JPEG, PNG or BMP");
  app.add_option("--sheet", options.sheet, "PNG: both pictures under every pattern map, side by side");
  app.add_option("--distance", options.distance,
                 "euclidean-unit (squared, L2-normalised), euclidean (squared, as they are) or cosine")
      ->capture_default_str();
  add_network_options(app, options, {"--checkpoint", "--size"});
}

// A row per picture: itself, then under each map, with the map's range below.
Image sheet_of(const std::vector<EmbeddedPicture>& pictures, const MapShape& shape, const std::string& title) {
  const MappedPair maps = map_pair(pictures[0], pictures[1], shape);
  const Image& first = pictures[0].picture;
  Sheet sheet(2, 1 + shape.parts, first.height, first.width, 14, 2);
  sheet.title(title);
  for (int row = 0; row < 2; row++) {
    sheet.label(row, row == 0 ? "A" : "B");
    sheet.set(row, 0, pictures[static_cast<size_t>(row)].picture, kSheetGray, "picture");
    for (int p = 0; p < shape.parts; p++) {
      const auto part = static_cast<size_t>(p);
      sheet.set(row, p + 1, maps.overlays[static_cast<size_t>(row)][part], kSheetGray,
                fmt::format("pattern {}\n{:.2f}-{:.2f}", p + 1, maps.ranges[part].first, maps.ranges[part].second));
    }
  }
  return sheet.image();
}

// The probability that belongs to the distance, as a line; a note on stderr when there is none.
std::string probability_line(const std::optional<Calibration>& calibration, Distance distance, double value,
                             const EmbedOptions& how) {
  const std::string why_not = why_no_probability(calibration, distance, how.height, how.width, how.flip);
  if (!why_not.empty()) {
    note(why_not + ", so that this distance stands for no probability");
    return "";
  }
  const LogisticCurve* curve = calibration->curve(distance, how.height, how.width, how.flip);
  return fmt::format("same person with probability {:.4f}, calibrated on {}; {} at distance {:.6g}, prior {}\n",
                     curve->probability(value), counted(calibration->identities.size(), "identity", "identities"), 0.5,
                     curve->threshold(), kCalibrationPrior);
}

void compare(CompareOptions options) {
  if (options.checkpoint.empty()) fail("--checkpoint is needed (see --help)");
  if (options.pictures.size() != 2) fail("expected two pictures, got {} (see --help)", options.pictures.size());
  const Distance distance = parse_distance(options.distance);
  register_input(options.checkpoint, "--checkpoint");
  register_input(calibration_path(options.checkpoint), "the calibration");
  for (const std::string& picture : options.pictures) register_input(picture, "a picture");
  const auto file = output_for_later(options.sheet);
  keep_stdout_for({options.sheet});
  const ThreadChoice threads = choose_threads(options.threads);
  if (!threads.warning.empty()) note(fmt::format("{}: warning: {}", kProgram, threads.warning));
  options.batch = 1;
  OpenedNetwork network = open_network(options, kProgram, "", nullptr, std::vector<ImageRecord>(2), threads.text);
  const std::optional<Calibration> calibration = read_calibration(options.checkpoint, network.checkpoint);
  const std::vector<EmbeddedPicture> pictures = embed_pictures(*network.engine, network.how, options.pictures);
  const double value = pair_distance(distance, pictures[0].embedding.data(), pictures[1].embedding.data(),
                                     network.engine->feature_size());
  const std::string probability = probability_line(calibration, distance, value, network.how);
  fmt::print("distance {:.6g}: {}\n{}", value, words_of(distance), probability);
  if (!file) return;
  std::string title = fmt::format("distance {:.6g}", value);
  if (!probability.empty()) title += ": " + probability.substr(0, probability.find(','));
  write_png(*file, sheet_of(pictures, network.engine->map_shape(), title));
  file->commit();
}

int run(int argc, char** argv) {
  CommandLine app(kAbout, kProgram);
  app.footer(kMore);
  app.column_width(34);
  CompareOptions options;
  add_options(app, options);
  app.add_version([] { return version_text(kProgram); });
  if (const auto code = parse_command_line(app, argc, argv)) return *code;
  compare(options);
  return 0;
}

}  // namespace

int main(int argc, char** argv) { return program_main(kProgram, argc, argv, run); }
