#include "data/synth/synth.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <string_view>
#include <vector>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/folder.h"
#include "core/base/progress.h"
#include "core/base/random.h"
#include "core/base/temporary.h"
#include "core/base/text.h"
#include "core/base/threads.h"
#include "data/pictures/sheet.h"
#include "data/sets/matfile.h"
#include "data/sets/sysu.h"
#include "data/synth/synth_hard.h"
#include "data/synth/synth_layouts.h"
#include "data/synth/synth_scene.h"

namespace mpanet {
namespace fs = std::filesystem;
namespace {

constexpr int kQuality = 90;
constexpr std::string_view kDrawn =
    "The people in this data set are drawn, by mpanet-data synth. No real person is shown.\n";
constexpr uint32_t kPictureEpoch = 30;  // of the streams of Random; synth_layouts.cpp uses others

void check(const SynthConfig& config) {
  const auto range = [](const char* name, int value, int low, int high) {
    if (value < low || value > high) fail("{}: expected {}..{}, got {}", name, low, high, value);
  };
  range("ids", config.ids, 2, 4000);
  range("test-ids", config.test_ids, 2, 4000);
  range("images", config.images, 1, 999);
  range("test-images", config.test_images, 0, 999);
  range("threads", config.threads, 0, 1024);
}

int total_ids(const SynthConfig& config) { return config.ids + config.test_ids; }

Image picture(const SynthConfig& config, const synth::Person& person, int camera, int identity, int number) {
  Random random(config.seed, Purpose::Synth, kPictureEpoch + static_cast<uint32_t>(camera),
                static_cast<uint32_t>(identity * 1000 + number));
  return synth::draw_picture(config.world, person, camera, random);
}

std::vector<synth::Person> draw_people(const SynthConfig& config) {
  return config.world == World::Hard ? synth::draw_hard_people(config.seed, total_ids(config))
                                     : synth::draw_people(config.seed, total_ids(config));
}

// A new folder next to its final path. The destructor removes it, with the files of add_file(), unless it was renamed.
class TemporaryFolder {
 public:
  explicit TemporaryFolder(const std::string& target) : target_(target), path_(temporary_path(target)) {
    check_replaceable(target, target);
    parents_.make_folders(folder_of(target));
    if (!inside_.make_folder(path_)) fail("{}: cannot make the folder: {} exists", target, path_);
  }
  const std::string& path() const { return path_; }
  // make_folder() and add_file() are thread-safe.
  void make_folder(const std::string& name) {
    const std::lock_guard lock(mutex_);
    inside_.make_folders(path_ + "/" + name);
  }
  std::string add_file(const std::string& name) {
    const std::lock_guard lock(mutex_);
    inside_.add_file(path_ + "/" + name);
    return path_ + "/" + name;
  }
  void commit() {
    if (rename(path_.c_str(), target_.c_str()) != 0)
      fail("{}: cannot make the folder: {}", target_, std::strerror(errno));
    inside_.keep();
    parents_.keep();
  }

 private:
  std::string target_, path_;
  MadeFiles parents_, inside_;
  std::mutex mutex_;
};

void write_picture(const std::string& path, const Image& image) {
  if (!path.ends_with(".bmp")) return write_jpeg(path, image, kQuality);
  OutputFile file(path);
  write_bmp(file, image);
  file.commit();
}

// Draws and writes the pictures with several threads. An exception from one of them is rethrown here.
bool write_pictures(const SynthConfig& config, const std::vector<synth::Picture>& pictures, TemporaryFolder& folder,
                    const std::function<bool()>& stopped) {
  const std::vector<synth::Person> people = draw_people(config);
  std::mutex mutex;  // guards `progress`
  const int threads = config.threads > 0 ? config.threads : usable_processors();
  Progress progress(fmt::format("drawing, {} thread{}", threads, threads == 1 ? "" : "s"), "images", pictures.size());
  parallel_for(threads, pictures.size(), [&](size_t i, int) {
    if (stopped()) return;
    const auto& [path, identity, camera, number] = pictures[i];
    folder.make_folder(folder_of(path));
    write_picture(folder.add_file(path),
                  picture(config, people[static_cast<size_t>(identity) - 1], camera, identity, number));
    const std::lock_guard lock(mutex);
    progress.advance();
  });
  return !stopped();
}

}  // namespace

bool write_synth(const SynthConfig& config, const std::string& out, const std::function<bool()>& stopped) {
  check(config);
  const synth::Layout layout = synth::plan_layout(config);
  if (layout.trials && !trial_files_supported())
    fail("{}: this build has no zlib, which sysu's trial file needs (build with -DMPANET_ZLIB=ON)", out);
  std::error_code error;
  if (fs::exists(fs::symlink_status(out, error)) && !(fs::is_directory(out, error) && fs::is_empty(out, error)))
    fail("{}: expected a folder that does not exist yet or is empty; it would be overwritten", out);
  // A link to an empty folder stays a link. The temporary folder is made next to the link's target.
  fs::path target = fs::weakly_canonical(fs::absolute(out), error);
  if (error) fail("{}: cannot make the folder: {}", out, error.message());
  if (!target.has_filename()) target = target.parent_path();
  TemporaryFolder folder(target.string());
  for (const std::string& name : layout.folders) folder.make_folder(name);
  if (layout.trials) {
    folder.make_folder("exp");
    write_trial_file(folder.add_file("exp/rand_perm_cam.mat"), synth::draw_trials(config));
  }
  for (const synth::TextFile& file : layout.files) {
    folder.make_folder(folder_of(file.path));
    write_file(folder.add_file(file.path), file.text);
  }
  write_file(folder.add_file(kDrawnName), std::string(kDrawn));
  if (!write_pictures(config, layout.pictures, folder, stopped)) return false;
  folder.commit();
  return true;
}

bool is_drawn(const std::string& root) {
  const std::string path = root + "/" + kDrawnName;
  std::error_code error;
  if (!fs::is_regular_file(path, error)) return false;  // a pipe would wait
  std::ifstream file(path, std::ios::binary);
  std::string text(kDrawn.size(), '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  return text == kDrawn;
}

Image draw_synth_sheet(const SynthConfig& config, int rows) {
  check(config);
  constexpr int kOrder[] = {1, 2, 4, 5, 3, 6}, kEach = 2;
  rows = std::min(rows, total_ids(config));
  const std::vector<synth::Person> people = draw_people(config);
  const synth::SysuCounts counts(config);
  Sheet sheet(rows, kSysuCameras * kEach, 144, 60, 40, 1);
  sheet.title("synthetic people: visible cameras 1, 2, 4, 5 and infrared cameras 3, 6");
  for (int row = 0; row < rows; row++) {
    sheet.label(row, fmt::format("ID {}", row + 1));
    for (int i = 0; i < kSysuCameras * kEach; i++) {
      const int camera = kOrder[i / kEach], number = i % kEach + 1;
      if (number > counts.of(camera, row + 1)) continue;
      sheet.set(row, i, picture(config, people[static_cast<size_t>(row)], camera, row + 1, number), kSheetGray,
                fmt::format("CAM{} {}", camera, sysu_infrared(camera) ? "IR" : ""));
    }
  }
  return sheet.image();
}

}  // namespace mpanet
