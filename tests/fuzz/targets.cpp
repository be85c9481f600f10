#include "tests/fuzz/targets.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/text.h"
#include "data/pictures/image.h"
#include "data/sets/import.h"
#include "data/sets/import_pattern.h"
#include "data/sets/llcm.h"
#include "data/sets/manifest.h"
#include "data/sets/matfile.h"
#include "data/sets/npy.h"
#include "data/sets/regdb.h"
#include "data/sets/text_list.h"
#include "mpanet/config/config.h"
#include "mpanet/config/yaml.h"
#include "mpanet/evaluation/features.h"
#include "mpanet/files/checkpoint.h"
#include "mpanet/files/weights.h"
#include "mpanet/files/zip_archive.h"

namespace mpanet::fuzz {
namespace {

namespace fs = std::filesystem;

// Overwritten in place: no sync as by OutputFile, and none as by some file systems after a file was cut to nothing.
std::string put(const std::string& path, std::string_view bytes) {
  Descriptor file(open(path.c_str(), O_WRONLY | O_CREAT, 0600));
  const auto size = static_cast<ssize_t>(bytes.size());
  MPANET_CHECK(file && write(file.get(), bytes.data(), bytes.size()) == size && ftruncate(file.get(), size) == 0,
               "{} cannot be written", path);
  return path;
}

// A network that takes weights of any shape that fits: --init.
EngineState& small_network() {
  static const std::unique_ptr<Engine> engine = [] {
    EngineConfig config;
    config.model.depth = "tiny";
    config.model.classes = 2;
    config.model.parts = 1;
    config.model.height = config.model.width = 32;
    config.embed_batch = 1;
    return make_engine(config);
  }();
  return *engine;
}

// Every number of the file, --init and --checkpoint. The last two may refuse a file that is right for others.
void read_weights(const std::string& path) {
  const auto attempt = [](auto call) {
    try {
      call();
    } catch (const UserError&) {
    }
  };
  const TensorFile file(path);
  for (const auto& [name, entry] : file.tensors()) attempt([&, &tensor = name] { file.read(tensor); });
  attempt([&] { load_weights(path, small_network()); });
  attempt([&] { Checkpoint checkpoint(path); });
}

// A configuration that is taken is written and read back to the same.
void check_round_trip(const TrainConfig& config) {
  const TrainConfig again = parse_config(config_file_text(config), "written");
  MPANET_CHECK(config_line(again) == config_line(config), "{} became {}", config_line(config), config_line(again));
  check_config(config, "read");
}

// Returns the bytes up to the next form feed, and removes them with it.
std::string_view take_part(std::string_view& bytes) {
  const std::string_view part = bytes.substr(0, bytes.find('\f'));
  bytes.remove_prefix(std::min(part.size() + 1, bytes.size()));
  return part;
}

// Makes empty files below the folder once.
void make_files(const std::string& folder, std::initializer_list<const char*> files) {
  for (const char* file : files) {
    const fs::path path = fs::path(folder) / file;
    if (fs::exists(path)) continue;
    fs::create_directories(path.parent_path());
    put(path.string(), "");
  }
}

// Rows that are taken are written and read back to the same.
void read_image_rows(const std::string& folder, std::string_view bytes) {
  put(folder + "/images.csv", bytes);
  const std::vector<ImageRecord> images = read_listed_images(folder).images;
  put(folder + "/images.csv", images_text(images));
  MPANET_CHECK(read_listed_images(folder).images == images, "{} became others", counted(images.size(), "image"));
}

// The three lists of LLCM, each up to the next form feed, beside a test of two identities.
void read_llcm_lists(const std::string& folder, std::string_view bytes) {
  make_files(folder, {"test_vis/cam1/0001/a.jpg", "test_vis/cam1/0002/a.jpg", "test_vis/cam1/1/a.jpg",
                      "test_nir/cam2/0001/a.jpg", "test_nir/cam3/0001/a.jpg", "idx/test_id.txt"});
  for (const char* list : {"train_vis", "train_nir", "test_id"})
    put(fmt::format("{}/idx/{}.txt", folder, list), take_part(bytes));
  read_llcm(folder, Split::Both);
}

// A pattern, a path and a word for infrared, each up to the next form feed. They are arguments of a program, so they
// end with a zero byte. The manifest is not written.
void import_by_pattern(const std::string& folder, std::string_view bytes) {
  make_files(folder, {"tree/vis/0001_c1_a.jpg", "tree/nir/0001_c3_a.jpg", "tree/vis/0002_c1_a.jpg",
                      "tree/nir/0002_c3_a.jpg", "tree/train/7/rgb.jpg", "tree/train/7/lepton.jpg",
                      "tree/test/anna/rgb.jpg", "tree/test/anna/lepton.jpg"});
  const auto argument = [&] { return std::string(std::string(take_part(bytes)).c_str()); };
  ImportOptions options;
  options.root = folder + "/tree";
  options.out = "/dev/null";
  options.pattern = argument();
  PathPattern(options.pattern).match(argument());
  if (const std::string word = argument(); !word.empty()) options.infrared = {word};
  import_folder(options);
}

// The four lists of a split of RegDB, each up to the next form feed.
void read_split(const std::string& folder, std::string_view bytes) {
  std::vector<std::string> lists;
  for (const bool train : {true, false})
    for (const bool infrared : {false, true}) lists.push_back(regdb_list(train, infrared, 1));
  fs::create_directories(folder + "/idx");
  for (const std::string& list : lists) put(folder + "/" + list, take_part(bytes));
  read_regdb(folder, Split::Both, 1);
}

std::vector<Target> make_targets() {
  const auto picture = [](const std::string& folder, std::string_view bytes) {
    decode_image(put(folder + "/picture", bytes));
  };
  const auto weights = [](const std::string& folder, std::string_view bytes) {
    read_weights(put(folder + "/weights", bytes));
  };
  return {
      {"safetensors", weights, {"dtypes.safetensors", "fuzz/safetensors"}, ".safetensors"},
      {"pth", weights, {"pth/1.13", "pth/2.15", "pth/1.13/refused", "pth/2.15/refused"}, ".pth", zip_supported()},
      {"mat",
       [](const std::string& folder, std::string_view bytes) { read_trial_file(put(folder + "/trials.mat", bytes)); },
       {"sysu"},
       ".mat",
       trial_files_supported()},
      {"npy",
       [](const std::string& folder, std::string_view bytes) { read_npy(put(folder + "/features.npy", bytes)); },
       {"fuzz/npy"},
       ".npy"},
      {"csv",
       [](const std::string& folder, std::string_view bytes) {
         read_manifest(put(folder + "/manifest.csv", bytes), Split::Both);
       },
       {"fuzz/csv"},
       ".csv"},
      {"images", read_image_rows, {"fuzz/images"}, ".csv"},
      {"regdb", read_split, {"fuzz/regdb"}, ".txt"},
      {"llcm", read_llcm_lists, {"fuzz/llcm"}, ".txt"},
      {"pattern", import_by_pattern, {"fuzz/pattern"}, ".txt"},
      {"ids",
       [](const std::string& folder, std::string_view bytes) { read_id_list(put(folder + "/ids.txt", bytes)); },
       {"fuzz/ids"},
       ".txt"},
      {"json",
       [](const std::string& folder, std::string_view bytes) {
         check_round_trip(read_config(put(folder + "/config.json", bytes)));
       },
       {"fuzz/json", "old_run/config.json"},
       ".json"},
      {"yaml",
       [](const std::string& folder, std::string_view bytes) {
         check_round_trip(read_config(put(folder + "/config.yml", bytes)));
       },
       {"fuzz/yaml"},
       ".yml",
       yaml_supported()},
      {"jpeg", picture, {"formats", "images"}, ".jpg", jpeg_supported()},
      {"png", picture, {"formats", "images"}, ".png", png_supported()},
      {"bmp", picture, {"formats", "images"}, ".bmp"},
  };
}

}  // namespace

const std::vector<Target>& targets() {
  static const std::vector<Target> all = make_targets();
  return all;
}

const Target& find_target(const std::string& name) {
  std::string known;
  for (const Target& target : targets()) {
    if (target.name == name) return target;
    known += (known.empty() ? "" : ", ") + target.name;
  }
  fail("expected one of {}, got {}", known, quote(name));
}

void run(const Target& target, const std::string& folder, std::string_view bytes) {
  try {
    target.read(folder, bytes);
  } catch (const UserError& e) {
    const std::string_view message = e.what();
    MPANET_CHECK(!message.empty() && message.find('\n') == message.npos, "expected a message of one line, got {}",
                 quote(message));
  }
}

std::vector<std::string> seed_files(const Target& target, const std::string& fixtures) {
  std::vector<std::string> files;
  for (const std::string& seeds : target.seeds) {
    const fs::path path = fs::path(fixtures) / seeds;
    if (!fs::is_directory(path)) {
      files.push_back(path.string());
      continue;
    }
    for (const auto& entry : fs::directory_iterator(path))
      if (entry.path().extension() == target.suffix) files.push_back(entry.path().string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace mpanet::fuzz
