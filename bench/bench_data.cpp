// bench-data: training pictures per second and core of the loader (decode, resize, augment, normalise), and the time of
// each stage. A core's second is a second of CPU time of the process, so other work on the machine does not count.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <tuple>

#include "core/base/command_line.h"
#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/folder.h"
#include "core/base/inputs.h"
#include "core/base/interrupt.h"
#include "core/base/output.h"
#include "core/base/processor_time.h"
#include "core/base/program.h"
#include "core/base/temporary.h"
#include "core/base/text.h"
#include "core/base/threads.h"
#include "data/loading/loader.h"
#include "data/loading/pack.h"
#include "data/sets/picture_names.h"
#include "mpanet/training/provenance.h"

namespace {

using namespace mpanet;
namespace fs = std::filesystem;

struct Options {
  std::string data, size = "384x128", json;
  int threads = 1, images = 2000;
};

double wall_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// A picture like a detector's crop: about 300x130, smooth shapes, sensor noise, JPEG quality 90.
Image draw_crop(uint32_t index) {
  Random random(1, Purpose::Test, 0, index);
  Image image;
  image.height = 270 + static_cast<int>(random.below(61));
  image.width = 115 + static_cast<int>(random.below(31));
  std::array<double, 9> wave;
  for (double& w : wave) w = random.uniform(0.01, 0.12);
  for (int y = 0; y < image.height; y++)
    for (int x = 0; x < image.width; x++)
      for (size_t c = 0; c < 3; c++) {
        const double smooth = 60 * std::sin(wave[c] * x) + 60 * std::cos(wave[c + 3] * y + wave[c + 6] * x);
        const double noise = static_cast<double>(random.below(17)) - 8;
        image.pixels.push_back(static_cast<uint8_t>(std::clamp(128 + smooth + noise, 0.0, 255.0)));
      }
  return image;
}

// In a folder of their own.
std::vector<std::string> draw_crops(MadeFiles& made) {
  const fs::path folder = fs::temp_directory_path() / temporary_name("bench-data");
  if (!made.make_folder(folder.string())) fail("{}: cannot make the folder: it exists", folder.string());
  std::vector<std::string> paths;
  for (uint32_t i = 0; i < 256; i++) {
    throw_if_interrupted();
    paths.push_back((folder / fmt::format("{:04}.jpg", i)).string());
    made.add_file(paths.back());
    write_jpeg(paths.back(), draw_crop(i), 90);
  }
  return paths;
}

std::vector<std::string> find_pictures(const std::string& folder, size_t most) {
  if (!fs::is_directory(folder)) fail("{}: expected a folder with pictures", folder);
  std::vector<std::string> paths;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file() && is_picture_name(entry.path().filename().string()))
      paths.push_back(entry.path().string());
  }
  if (paths.empty()) fail("{}: expected pictures (.jpg, .jpeg, .png, .bmp), got none", folder);
  std::sort(paths.begin(), paths.end());
  if (paths.size() <= most) return paths;
  // Chosen at equal distances in the list, so that cameras and identities differ.
  std::vector<std::string> chosen;
  for (size_t i = 0; i < most; i++) chosen.push_back(paths[i * paths.size() / most]);
  return chosen;
}

struct Stages {
  double decode = 0, resize = 0, augment = 0;  // CPU seconds a picture
  double total() const { return decode + resize + augment; }
};

// Times each stage on one thread.
Stages time_stages(const std::vector<std::string>& paths, const LoaderConfig& config, size_t count) {
  ImageDecoder decoder;
  Resizer resizer;
  Image decoded, resized;
  const PixelTable table(config.normalization);
  // As large as a batch, so that the writes exceed the cache as in training.
  const size_t picture = static_cast<size_t>(config.height) * static_cast<size_t>(config.width) * 3;
  std::vector<float> out(64 * picture);
  Stages sum;
  for (size_t i = 0; i < count; i++) {
    throw_if_interrupted();
    const double start = thread_seconds();
    decoder.decode(paths[i % paths.size()], decoded);
    const double after_decode = thread_seconds();
    resizer.resize(decoded, config.height, config.width, resized);
    const double after_resize = thread_seconds();
    const auto augmentation = draw_augmentation(config.augment, config.height, config.width,
                                                Random(0, Purpose::Augment, 0, static_cast<uint32_t>(i)));
    augment_image(resized.pixels.data(), config.height, config.width, config.augment, augmentation, table,
                  out.data() + i % 64 * picture);
    sum.decode += after_decode - start;
    sum.resize += after_resize - after_decode;
    sum.augment += thread_seconds() - after_resize;
  }
  const auto n = static_cast<double>(count);
  return {sum.decode / n, sum.resize / n, sum.augment / n};
}

// CPU seconds to copy the floats of a picture from other memory, on one thread: a lower bound for every loader.
double time_copy(const LoaderConfig& config, size_t count) {
  constexpr size_t kBatch = 64;
  const size_t picture = static_cast<size_t>(config.height) * static_cast<size_t>(config.width) * 3;
  const std::vector<float> from(kBatch * picture, 1.0f);
  std::vector<float> to(kBatch * picture);
  const double start = thread_seconds();
  for (size_t i = 0; i < count; i++)
    std::copy_n(from.data() + i * 7 % kBatch * picture, picture, to.data() + i % kBatch * picture);
  return (thread_seconds() - start) / static_cast<double>(count);
}

struct Rate {
  double wall = 0, core = 0;  // pictures a second, and a second of CPU time
};

Rate time_loader(const std::vector<std::string>& paths, const LoaderConfig& config, size_t count) {
  constexpr size_t kBatch = 64, kWarm = 4;  // untimed batches, until every buffer has been written once
  std::vector<std::vector<Sample>> batches(kWarm + (count + kBatch - 1) / kBatch);
  uint32_t index = 0;
  for (auto& batch : batches)
    for (size_t i = 0; i < kBatch; i++, index++) batch.push_back({paths[index % paths.size()], 0, false, index});
  const size_t total = batches.size();
  Loader loader(config, std::move(batches));
  Batch batch;
  const auto next = [&] {
    throw_if_interrupted();
    loader.next(batch);
  };
  for (size_t i = 0; i < kWarm; i++) next();
  // The queue is full at the start and at the end of the measurement, because the last `queue` batches are not
  // measured.
  const double wall = wall_seconds(), cpu = process_seconds();
  const size_t measured = total - kWarm - static_cast<size_t>(config.queue);
  for (size_t i = 0; i < measured; i++) next();
  const auto pictures = static_cast<double>(measured * kBatch);
  return {pictures / (wall_seconds() - wall), pictures / (process_seconds() - cpu)};
}

// The loader with a pack of the pictures, which lies in the folder for temporary files.
Rate time_packed(const std::vector<std::string>& paths, LoaderConfig config, size_t count) {
  MadeFiles made;
  const std::string file = (fs::temp_directory_path() / temporary_name("bench-data.pack")).string();
  made.add_file(file), made.add_file(file + ".partial");
  std::vector<std::string> relative;
  for (const std::string& path : paths) relative.push_back(fs::relative(path, "/").string());
  std::vector<std::string> absolute;
  for (const std::string& path : relative) absolute.push_back("/" + path);
  write_pack("", relative, config.height, config.width, file, config.threads);
  config.pack = std::make_shared<const Pack>(file, "", config.height, config.width);
  time_loader(absolute, config, absolute.size());  // every picture's checksum is compared once
  return time_loader(absolute, config, count);
}

void run(const Options& options) {
  const auto count = static_cast<size_t>(options.images);
  const auto found = options.data.empty() ? std::vector<std::string>() : find_pictures(options.data, count);
  for (const std::string& path : found) register_input(path, "a picture of --data");
  const auto json = output_for_later(options.json);
  keep_stdout_for({options.json});
  LoaderConfig config;
  const auto size = parse_size(options.size);
  if (!size || size->first > 4096 || size->second > 4096)
    fail("--size: expected HEIGHTxWIDTH, each 1..4096, got {}", quote(options.size));
  std::tie(config.height, config.width) = *size;
  config.threads = options.threads;
  config.train = true;
  MadeFiles made;  // removed at the end
  const auto paths = options.data.empty() ? draw_crops(made) : found;
  time_stages(paths, config, std::min(paths.size(), count));  // brings the files into the page cache
  const Stages stages = time_stages(paths, config, count);
  const Rate rate = time_loader(paths, config, count);
  const Rate packed = time_packed(paths, config, count);
  const double copy = 1 / time_copy(config, count);

  const auto fraction = [&](double seconds) { return seconds / stages.total(); };
  fmt::print("{} images from {} ({}) to {}x{}, training augmentation, {}\n", options.images,
             counted(paths.size(), "file"),
             options.data.empty() ? "drawn JPEG crops of about 300x130" : printable(options.data), config.height,
             config.width, counted(config.threads, "thread"));
  fmt::print("{:.0f} images/s/core\n", rate.core);
  fmt::print("{:.0f} images/s\n", rate.wall);
  fmt::print("{:.0f} images/s/core from a pack, {:.0f} images/s\n", packed.core, packed.wall);
  fmt::print("{:.0f} images/s/core would be a plain copy of their floats; the pack reaches {:.2f} of it\n", copy,
             packed.core / copy);
  fmt::print("decode  {:4.1f} %  {:6.1f} us\n", 100 * fraction(stages.decode), 1e6 * stages.decode);
  fmt::print("resize  {:4.1f} %  {:6.1f} us\n", 100 * fraction(stages.resize), 1e6 * stages.resize);
  fmt::print("augment {:4.1f} %  {:6.1f} us\n", 100 * fraction(stages.augment), 1e6 * stages.augment);
  if (!json) return;
  const nlohmann::json result = {{"images_per_second_per_core", rate.core},
                                 {"images_per_second", rate.wall},
                                 {"packed_images_per_second_per_core", packed.core},
                                 {"packed_images_per_second", packed.wall},
                                 {"copied_images_per_second_per_core", copy},
                                 {"threads", config.threads},
                                 {"images", options.images},
                                 {"files", paths.size()},
                                 {"height", config.height},
                                 {"width", config.width},
                                 {"decode_share", fraction(stages.decode)},
                                 {"resize_share", fraction(stages.resize)},
                                 {"augment_share", fraction(stages.augment)},
                                 {"decode_seconds", stages.decode},
                                 {"resize_seconds", stages.resize},
                                 {"augment_seconds", stages.augment}};
  write_file(*json, result.dump(2) + "\n");
}

int bench_data(int argc, char** argv) {
  Options options;
  CommandLine app("Measures the loader: training pictures a second and core, and the shares of its stages.",
                  "bench-data");
  app.add_option("--data", options.data, "folder with pictures, searched through (default: draws its own JPEG crops)");
  add_whole_number(app, "--threads", options.threads, 1, 256, "loader threads");
  app.add_option("--size", options.size, "HEIGHTxWIDTH of the network's input")->capture_default_str();
  add_whole_number(app, "--images", options.images, 256, 10000000,
                   "pictures to measure; files are used again when there are fewer");
  app.add_option("--json", options.json, "write the numbers to this file");
  app.add_version([] { return version_text("bench-data"); });
  if (const auto code = parse_command_line(app, argc, argv)) return *code;
  if (const std::string warning = quota_warning(options.threads); !warning.empty()) note("warning: " + warning);
  const InterruptGuard guard;  // a signal ends the program as an error does, so that its temporary files go
  try {
    run(options);
  } catch (const Interrupted&) {
    note("bench-data: stopped");
    return interrupt_exit_code();
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) { return program_main("bench-data", argc, argv, bench_data); }
