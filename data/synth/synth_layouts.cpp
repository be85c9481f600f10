#include "data/synth/synth_layouts.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "core/base/error.h"
#include "core/base/random.h"
#include "core/base/text.h"
#include "data/sets/llcm.h"
#include "data/sets/manifest.h"
#include "data/sets/regdb.h"
#include "data/sets/sysu.h"
#include "data/synth/synth_hard.h"

namespace mpanet::synth {
namespace {

// Epochs of the streams of Random. synth_person.cpp uses epochs 0 and 1, synth.cpp 30 and more.
constexpr uint32_t kListsEpoch = 2, kCountEpoch = 10, kTrialEpoch = 20;

int total_ids(const SynthConfig& config) { return config.ids + config.test_ids; }

bool outdoors_only(int identity) { return identity % 8 == 0; }

std::string comma_line(std::vector<int> ids) {
  std::sort(ids.begin(), ids.end());
  std::string line;
  for (int id : ids) line += fmt::format("{}{}", line.empty() ? "" : ",", id);
  return line + "\n";
}

struct Parts {
  std::vector<int> train, test;  // identities, in random order
};

// Draws the identities for training and test; each `split` is another division. The families of the hard world stay
// together, but for one if a part's number of identities is no multiple of a family's.
Parts divide(const SynthConfig& config, int split) {
  const int family = config.world == World::Hard ? kFamily : 1, all = total_ids(config);
  std::vector<int> firsts;
  for (int id = 1; id <= all; id += family) firsts.push_back(id);
  Random random(config.seed, Purpose::Synth, kListsEpoch, static_cast<uint32_t>(split));
  random.shuffle(firsts);
  std::vector<int> ids;
  for (const int first : firsts)
    for (int id = first; id < std::min(first + family, all + 1); id++) ids.push_back(id);
  const auto test = ids.begin() + config.ids;
  return {{ids.begin(), test}, {test, ids.end()}};
}

// Whether each identity is in the test; [0] is unused.
std::vector<bool> in_test(const SynthConfig& config) {
  std::vector<bool> test(static_cast<size_t>(total_ids(config)) + 1);
  for (const int id : divide(config, 0).test) test[static_cast<size_t>(id)] = true;
  return test;
}

// Between three quarters and all of the configuration's number for this part.
int draw_count(const SynthConfig& config, int camera, int identity, bool test) {
  const int images = test && config.test_images > 0 ? config.test_images : config.images;
  Random random(config.seed, Purpose::Synth, kCountEpoch + static_cast<uint32_t>(camera),
                static_cast<uint32_t>(identity));
  return images - static_cast<int>(random.below(static_cast<uint32_t>(images / 4 + 1)));
}

Layout plan_sysu(const SynthConfig& config) {
  Layout layout;
  layout.trials = true;
  const SysuCounts counts(config);
  for (int identity = 1; identity <= total_ids(config); identity++)
    for (int camera = 1; camera <= kSysuCameras; camera++)
      for (int number = 1; number <= counts.of(camera, identity); number++)
        layout.pictures.push_back({sysu_path(camera, identity, number), identity, camera, number});
  const Parts parts = divide(config, 0);
  const auto val = parts.train.end() - std::max(1, config.ids / 5);
  layout.files = {{"exp/train_id.txt", comma_line({parts.train.begin(), val})},
                  {"exp/val_id.txt", comma_line({val, parts.train.end()})},
                  {"exp/test_id.txt", comma_line(parts.test)}};
  for (int camera = 1; camera <= kSysuCameras; camera++) layout.folders.push_back(fmt::format("cam{}", camera));
  return layout;
}

// As in the real data set, all identities have the same number of pictures, and each split is another division.
Layout plan_regdb(const SynthConfig& config) {
  constexpr int kVisible = 4, kThermal = 6;  // synth_scene.h's outdoor cameras
  Layout layout;
  std::vector<std::vector<std::string>> paths[2];  // by modality and identity - 1
  for (const bool infrared : {false, true})
    for (int identity = 1; identity <= total_ids(config); identity++) {
      auto& own = paths[infrared].emplace_back();
      for (int number = 1; number <= config.images; number++) {
        own.push_back(fmt::format("{}/{}/{:02d}.bmp", infrared ? "Thermal" : "Visible", identity, number));
        layout.pictures.push_back({own.back(), identity, infrared ? kThermal : kVisible, number});
      }
    }
  for (int split = 1; split <= kRegDbSplits; split++) {
    const Parts parts = divide(config, split);
    for (const bool train : {true, false})
      for (const bool infrared : {false, true}) {
        std::string text;
        int label = 0;
        for (const int identity : train ? parts.train : parts.test) {
          for (const std::string& path : paths[infrared][static_cast<size_t>(identity) - 1])
            text += fmt::format("{} {}\n", path, label);
          label++;
        }
        layout.files.push_back({regdb_list(train, infrared, split), text});
      }
  }
  return layout;
}

Layout plan_llcm(const SynthConfig& config) {
  constexpr int kVisible[] = {1, 2, 4, 5}, kInfrared[] = {3, 6};  // synth_scene.h's cameras
  const std::vector<bool> test = in_test(config);
  Layout layout;
  std::string lists[2];
  std::vector<int> test_ids;
  int label = 0;
  for (int identity = 1; identity <= total_ids(config); identity++) {
    const bool tested = test[static_cast<size_t>(identity)];
    if (tested) test_ids.push_back(identity);
    for (const bool infrared : {false, true})
      for (const int camera : llcm_cameras(infrared)) {
        const int drawn = infrared ? kInfrared[camera % 2] : kVisible[camera % 4];
        const std::string folder = tested ? llcm_test_folder(infrared, camera, identity)
                                          : fmt::format("train_{}/{:04d}", infrared ? "nir" : "vis", identity);
        const int count = draw_count(config, camera, identity, tested);
        for (int number = 1; number <= count; number++) {
          const std::string path = fmt::format("{}/{:04d}_c{:02d}_n{:03d}_{}.jpg", folder, identity, camera, number,
                                               infrared ? "nir" : "vis");
          layout.pictures.push_back({path, identity, drawn, camera * 100 + number});
          if (!tested) lists[infrared] += fmt::format("{} {}\n", path, label);
        }
      }
    if (!tested) label++;
  }
  layout.files = {
      {"idx/train_vis.txt", lists[0]}, {"idx/train_nir.txt", lists[1]}, {"idx/test_id.txt", comma_line(test_ids)}};
  return layout;
}

Layout plan_csv(const SynthConfig& config) {
  const std::vector<bool> test = in_test(config);
  Layout layout;
  std::string text = std::string(kManifestHeader) + "\n";
  for (int identity = 1; identity <= total_ids(config); identity++)
    for (int camera = 1; camera <= kSysuCameras; camera++) {
      const bool infrared = sysu_infrared(camera), tested = test[static_cast<size_t>(identity)];
      const char* modality = infrared ? "infrared" : "visible";
      const int count = draw_count(config, camera, identity, tested);
      for (int number = 1; number <= count; number++) {
        const std::string path = fmt::format("{}/{:04d}/c{}_{:03d}.jpg", modality, identity, camera, number);
        layout.pictures.push_back({path, identity, camera, number});
        text += fmt::format("{},{},{},{},{}\n", path, identity, camera, modality,
                            !tested    ? "train"
                            : infrared ? "query"
                                       : "gallery");
      }
    }
  layout.files = {{kManifestName, text}};
  return layout;
}

}  // namespace

SysuCounts::SysuCounts(const SynthConfig& config) : config_(config), test_(in_test(config)) {}

int SysuCounts::of(int camera, int identity) const {
  if (outdoors_only(identity) && camera <= 3) return 0;
  return draw_count(config_, camera, identity, test_[static_cast<size_t>(identity)]);
}

TrialFile draw_trials(const SynthConfig& config) {
  const SysuCounts counts(config);
  TrialFile trials;
  for (int camera = 1; camera <= kSysuCameras; camera++) {
    trials.resize(camera, total_ids(config));
    for (int identity = 1; identity <= total_ids(config); identity++) {
      const int count = counts.of(camera, identity);
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

Layout plan_layout(const SynthConfig& config) {
  switch (config.layout) {
    case DatasetKind::Sysu:
      return plan_sysu(config);
    case DatasetKind::RegDb:
      if (config.test_images > 0 && config.test_images != config.images)
        fail("test-images: expected {} as images, since every identity of regdb is in the test of some split, got {}",
             config.images, config.test_images);
      return plan_regdb(config);
    case DatasetKind::Llcm:
      if (std::max(config.images, config.test_images) > 99)
        fail("images: expected at most 99 for llcm, got {}", std::max(config.images, config.test_images));
      return plan_llcm(config);
    case DatasetKind::Csv:
      return plan_csv(config);
  }
  MPANET_CHECK(false, "unknown layout");
  return {};
}

}  // namespace mpanet::synth
