#include "data/synth/synth.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <mutex>
#include <numeric>
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
#include "data/synth/synth_scene.h"

namespace mpanet {
namespace fs = std::filesystem;
namespace {

constexpr int kQuality = 90;
// Epochs of the streams of Random. synth_person.cpp uses epochs 0 and 1.
constexpr uint32_t kListsEpoch = 2, kCountEpoch = 10, kTrialEpoch = 20, kPictureEpoch = 30;

void check(const SynthConfig& config) {
  const auto range = [](const char* name, int value, int low, int high) {
    if (value < low || value > high) fail("{}: expected {}..{}, got {}", name, low, high, value);
  };
  range("ids", config.ids, 2, 4000);
  range("test-ids", config.test_ids, 2, 4000);
  range("images", config.images, 1, 999);
  range("threads", config.threads, 0, 1024);
}

int total_ids(const SynthConfig& config) { return config.ids + config.test_ids; }

bool outdoors_only(int identity) { return identity % 8 == 0; }

int picture_count(const SynthConfig& config, int camera, int identity) {
  if (outdoors_only(identity) && camera <= 3) return 0;
  Random random(config.seed, Purpose::Synth, kCountEpoch + static_cast<uint32_t>(camera),
                static_cast<uint32_t>(identity));
  return config.images - static_cast<int>(random.below(static_cast<uint32_t>(config.images / 4 + 1)));
}

Image picture(const SynthConfig& config, const synth::Person& person, int camera, int identity, int number) {
  Random random(config.seed, Purpose::Synth, kPictureEpoch + static_cast<uint32_t>(camera),
                static_cast<uint32_t>(identity * 1000 + number));
  return synth::draw_picture(person, camera, random);
}

std::string comma_line(std::vector<int> ids) {
  std::sort(ids.begin(), ids.end());
  std::string line;
  for (int id : ids) line += fmt::format("{}{}", line.empty() ? "" : ",", id);
  return line + "\n";
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

void write_lists(const SynthConfig& config, TemporaryFolder& folder) {
  std::vector<int> ids(static_cast<size_t>(total_ids(config)));
  std::iota(ids.begin(), ids.end(), 1);
  Random random(config.seed, Purpose::Synth, kListsEpoch, 0);
  random.shuffle(ids);
  const auto test = ids.begin() + config.ids, val = test - std::max(1, config.ids / 5);
  write_file(folder.add_file("exp/train_id.txt"), comma_line({ids.begin(), val}));
  write_file(folder.add_file("exp/val_id.txt"), comma_line({val, test}));
  write_file(folder.add_file("exp/test_id.txt"), comma_line({test, ids.end()}));
}

TrialFile draw_trials(const SynthConfig& config) {
  TrialFile trials;
  for (int camera = 1; camera <= kSysuCameras; camera++) {
    trials.resize(camera, total_ids(config));
    for (int identity = 1; identity <= total_ids(config); identity++) {
      const int count = picture_count(config, camera, identity);
      Random random(config.seed, Purpose::Synth, kTrialEpoch + static_cast<uint32_t>(camera),
                    static_cast<uint32_t>(identity));
      std::vector<int32_t> numbers, order(static_cast<size_t>(count));
      for (int trial = 0; trial < kSysuTrials; trial++) {
        std::iota(order.begin(), order.end(), 1);
        random.shuffle(order);
        numbers.insert(numbers.end(), order.begin(), order.end());
      }
      trials.set(camera, identity, count, std::move(numbers));
    }
  }
  return trials;
}

struct Job {
  int camera, identity;
};

// Draws and writes all pictures with several threads, and throws the exception of a thread. False when stopped.
bool write_pictures(const SynthConfig& config, TemporaryFolder& folder, const std::function<bool()>& stopped) {
  const std::vector<synth::Person> people = synth::draw_people(config.seed, total_ids(config));
  std::vector<Job> jobs;
  size_t total = 0;
  for (int identity = 1; identity <= total_ids(config); identity++)
    for (int camera = 1; camera <= kSysuCameras; camera++)
      if (const int count = picture_count(config, camera, identity); count > 0) {
        jobs.push_back({camera, identity});
        total += static_cast<size_t>(count);
      }
  std::mutex mutex;  // guards `progress`
  const int threads = config.threads > 0 ? config.threads : usable_processors();
  Progress progress("drawing, " + counted(threads, "thread"), "images", total);
  parallel_for(threads, jobs.size(), [&](size_t i, int) {
    const auto [camera, identity] = jobs[i];
    folder.make_folder(folder_of(sysu_path(camera, identity, 1)));
    const int count = picture_count(config, camera, identity);
    for (int number = 1; number <= count; number++) {
      if (stopped()) return;
      write_jpeg(folder.add_file(sysu_path(camera, identity, number)),
                 picture(config, people[static_cast<size_t>(identity) - 1], camera, identity, number), kQuality);
    }
    const std::lock_guard lock(mutex);
    progress.advance(static_cast<size_t>(count));
  });
  return !stopped();
}

}  // namespace

bool write_synth(const SynthConfig& config, const std::string& out, const std::function<bool()>& stopped) {
  check(config);
  std::error_code error;
  if (fs::exists(fs::symlink_status(out, error)) && !(fs::is_directory(out, error) && fs::is_empty(out, error)))
    fail("{}: expected a folder that does not exist yet or is empty; it would be overwritten", out);
  // A link to an empty folder stays a link. The temporary folder is made next to the link's target.
  fs::path target = fs::weakly_canonical(fs::absolute(out), error);
  if (error) fail("{}: cannot make the folder: {}", out, error.message());
  if (!target.has_filename()) target = target.parent_path();
  TemporaryFolder folder(target.string());
  folder.make_folder("exp");
  write_trial_file(folder.add_file("exp/rand_perm_cam.mat"), draw_trials(config));
  write_lists(config, folder);
  for (int camera = 1; camera <= kSysuCameras; camera++) folder.make_folder(fmt::format("cam{}", camera));
  if (!write_pictures(config, folder, stopped)) return false;
  folder.commit();
  return true;
}

Image draw_synth_sheet(const SynthConfig& config, int rows) {
  check(config);
  constexpr int kOrder[] = {1, 2, 4, 5, 3, 6}, kEach = 2;
  rows = std::min(rows, total_ids(config));
  const std::vector<synth::Person> people = synth::draw_people(config.seed, total_ids(config));
  Sheet sheet(rows, kSysuCameras * kEach, 144, 60, 40, true);
  sheet.title("synthetic people: visible cameras 1, 2, 4, 5 and infrared cameras 3, 6");
  for (int row = 0; row < rows; row++) {
    sheet.label(row, fmt::format("ID {}", row + 1));
    for (int i = 0; i < kSysuCameras * kEach; i++) {
      const int camera = kOrder[i / kEach], number = i % kEach + 1;
      if (number > picture_count(config, camera, row + 1)) continue;
      sheet.set(row, i, picture(config, people[static_cast<size_t>(row)], camera, row + 1, number), kSheetGray,
                fmt::format("CAM{} {}", camera, sysu_infrared(camera) ? "IR" : ""));
    }
  }
  return sheet.image();
}

}  // namespace mpanet
