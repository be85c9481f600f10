#include "tests/fuzz/targets.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "core/base/error.h"
#include "core/base/file.h"
#include "data/pictures/image.h"
#include "data/sets/manifest.h"
#include "data/sets/matfile.h"
#include "data/sets/npy.h"
#include "data/sets/regdb.h"
#include "data/sets/text_list.h"
#include "mpanet/files/checkpoint.h"
#include "mpanet/files/weights.h"
#include "mpanet/training/config.h"

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

// The four lists of a split of RegDB, each up to the next form feed.
void read_split(const std::string& folder, std::string_view bytes) {
  std::vector<std::string> lists;
  for (const bool train : {true, false})
    for (const bool infrared : {false, true}) lists.push_back(regdb_list(train, infrared, 1));
  fs::create_directories(folder + "/idx");
  for (const std::string& list : lists) {
    const size_t end = std::min(bytes.find('\f'), bytes.size());
    put(folder + "/" + list, bytes.substr(0, end));
    bytes.remove_prefix(std::min(end + 1, bytes.size()));
  }
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
      {"pth", weights, {"pth/1.13", "pth/2.15", "pth/1.13/refused", "pth/2.15/refused"}, ".pth"},
      {"mat",
       [](const std::string& folder, std::string_view bytes) { read_trial_file(put(folder + "/trials.mat", bytes)); },
       {"sysu"},
       ".mat"},
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
      {"regdb", read_split, {"fuzz/regdb"}, ".txt"},
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
       ".yml"},
      {"jpeg", picture, {"formats", "images"}, ".jpg"},
      {"png", picture, {"formats", "images"}, ".png"},
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
