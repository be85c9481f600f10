#include "mpanet/config/config_keys.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>

#include "core/base/text.h"

namespace mpanet {
namespace {

using nlohmann::json;
constexpr bool kChangeable = true;

bool is_integer_in(const json& value, int64_t low, int64_t high) {
  if (value.is_number_unsigned() && value.get<uint64_t>() > static_cast<uint64_t>(high)) return false;
  return value.is_number_integer() && value.get<int64_t>() >= low && value.get<int64_t>() <= high;
}

// `at` returns a reference to the field in a TrainConfig. get() calls it on a copy, set() on the configuration itself.
template <class Field>
ConfigKey integer(std::string path, Field at, int64_t low, int64_t high, std::string meaning, bool changeable = false) {
  return {std::move(path),
          fmt::format("an integer in {}..{}", low, high),
          std::move(meaning),
          changeable,
          false,
          [at](TrainConfig c) -> json { return at(c); },
          [at, low, high](TrainConfig& c, const json& value) {
            if (!is_integer_in(value, low, high)) return false;
            at(c) = value.get<std::remove_reference_t<decltype(at(c))>>();
            return true;
          }};
}

template <class Field>
ConfigKey number(std::string path, Field at, double low, double high, std::string meaning) {
  return {std::move(path),
          fmt::format("a number in {}..{}", low, high),
          std::move(meaning),
          false,
          false,
          [at](TrainConfig c) -> json { return at(c); },
          [at, low, high](TrainConfig& c, const json& value) {
            if (!value.is_number()) return false;
            const double v = value.get<double>();
            if (!(v >= low && v <= high)) return false;
            at(c) = v;
            return true;
          }};
}

template <class Field>
ConfigKey boolean(std::string path, Field at, std::string meaning) {
  return {std::move(path),
          "true or false",
          std::move(meaning),
          false,
          false,
          [at](TrainConfig c) -> json { return at(c); },
          [at](TrainConfig& c, const json& value) {
            if (!value.is_boolean()) return false;
            at(c) = value.get<bool>();
            return true;
          }};
}

// A key whose value is one of several names. Value is an enumeration, or a string that is its own name. 18 means "18".
template <class Field, class Value>
ConfigKey choice(std::string path, Field at, std::vector<std::pair<std::string, Value>> values, std::string meaning) {
  std::vector<std::string> names;
  for (const auto& [name, value] : values) names.push_back('"' + name + '"');
  return {std::move(path),
          fmt::format("one of {}", join(names)),
          std::move(meaning),
          false,
          false,
          [at, values](TrainConfig c) -> json {
            return std::find_if(values.begin(), values.end(), [&](const auto& v) { return v.second == at(c); })->first;
          },
          [at, values](TrainConfig& c, const json& value) {
            if (!value.is_string() && !value.is_number_integer()) return false;
            const std::string name = value.is_string() ? value.get<std::string>() : value.dump();
            for (const auto& [known, v] : values)
              if (known == name) {
                at(c) = v;
                return true;
              }
            return false;
          }};
}

bool are_integers_in(const json& value, int64_t low, int64_t high) {
  return value.is_array() &&
         std::all_of(value.begin(), value.end(), [&](const json& v) { return is_integer_in(v, low, high); });
}

ConfigKey pack() {
  return {"data.pack",
          "a file's path, or \"\" for none",
          "pack of `mpanet-data pack`, whose pictures need no decoding",
          kChangeable,
          false,
          [](const TrainConfig& c) -> json { return c.pack; },
          [](TrainConfig& c, const json& value) {
            if (!value.is_string() || value.get_ref<const std::string&>().find('\0') != std::string::npos) return false;
            c.pack = value.get<std::string>();
            return true;
          }};
}

ConfigKey image_size() {
  return {"image_size",
          "[height, width], two integers in 16..4096",
          "size that every picture is resized to",
          false,
          true,
          [](const TrainConfig& c) -> json {
            return {c.model.height, c.model.width};
          },
          [](TrainConfig& c, const json& value) {
            if (!are_integers_in(value, 16, 4096) || value.size() != 2) return false;
            c.model.height = value[0], c.model.width = value[1];
            return true;
          }};
}

ConfigKey k_size() {
  ConfigKey key = integer(
      "k_size", [](TrainConfig& c) -> int& { return c.k_size; }, 2, 4096,
      "images of an identity in a batch, half of them infrared");
  key.allowed = "an even integer in 2..4096";
  key.set = [set = key.set](TrainConfig& c, const json& value) {
    return is_integer_in(value, 2, 4096) && value.get<int>() % 2 == 0 && set(c, value);
  };
  return key;
}

ConfigKey lr_step() {
  return {"lr_step",
          "a list of ascending integers in 1..100000",
          "epochs at whose end the learning rate drops to a tenth",
          false,
          true,
          [](const TrainConfig& c) -> json { return c.lr_step; },
          [](TrainConfig& c, const json& value) {
            if (!are_integers_in(value, 1, 100000)) return false;
            const auto steps = value.get<std::vector<int>>();
            if (std::adjacent_find(steps.begin(), steps.end(), std::greater_equal<int>()) != steps.end()) return false;
            c.lr_step = steps;
            return true;
          }};
}

ConfigKey pad_value() {
  return {"data.pad_value",
          "[red, green, blue], three integers in 0..255",
          "colour of the padding; the authors' library of the time made it [127, 0, 0]",
          false,
          true,
          [](const TrainConfig& c) -> json { return c.pad_value; },
          [](TrainConfig& c, const json& value) {
            if (!are_integers_in(value, 0, 255) || value.size() != 3) return false;
            c.pad_value = value.get<std::array<int, 3>>();
            return true;
          }};
}

std::vector<ConfigKey> network_keys() {
  using C = TrainConfig;
  std::vector<std::pair<std::string, std::string>> depths;
  for (const char* depth : {"tiny", "18", "34", "50", "101", "152"}) depths.emplace_back(depth, depth);
  return {
      choice(
          "depth", [](C& c) -> std::string& { return c.model.depth; }, depths,
          "ResNet of the backbone; tiny is for demonstrations"),
      image_size(),
      boolean(
          "drop_last_stride", [](C& c) -> bool& { return c.model.drop_last_stride; },
          "the backbone's last stage keeps its resolution"),
      integer(
          "modality_attention", [](C& c) -> int& { return c.model.mam; }, 0, 2,
          "modality alleviation: 2 after stages 3 and 4, 1 after stage 4, 0 none"),
      integer(
          "num_parts", [](C& c) -> int& { return c.model.parts; }, 0, 8,
          "pattern maps; 0: no pattern alignment (pattern_attention false in the authors' files)"),
      boolean(
          "center_cluster", [](C& c) -> bool& { return c.model.center_cluster; }, "the center cluster loss (cc)"),
      boolean(
          "classification", [](C& c) -> bool& { return c.model.classification; },
          "the identity classifier and its loss (ce)"),
      boolean(
          "mutual_learning", [](C& c) -> bool& { return c.model.mutual; },
          "modality classifiers, their teachers and the mutual mean learning"),
      number(
          "update_rate", [](C& c) -> double& { return c.model.update_rate; }, 0, 1, "update rate of the teachers"),
      number(
          "margin", [](C& c) -> double& { return c.model.margin; }, 0, 1000,
          "margin of the center cluster and the triplet loss"),
      number(
          "weight_sep", [](C& c) -> double& { return c.model.weight_sep; }, 0, 1000,
          "weight of the separation loss (p-reg)"),
      number(
          "weight_sid", [](C& c) -> double& { return c.model.weight_sid; }, 0, 1000,
          "weight of the modality classifiers' losses (ce-v, ce-i); counts twice, as in the authors' code"),
      number(
          "weight_KL", [](C& c) -> double& { return c.model.weight_kl; }, 0, 1000,
          "weight of the mutual mean learning (KL)"),
      boolean(
          "triplet", [](C& c) -> bool& { return c.model.triplet; }, "adds the batch-hard triplet loss (tri)"),
      boolean(
          "center", [](C& c) -> bool& { return c.model.center; }, "adds the center loss (cen)"),
  };
}

std::vector<ConfigKey> training_keys() {
  using C = TrainConfig;
  const std::vector<std::pair<std::string, OptimizerConfig::Kind>> kinds = {{"adam", OptimizerConfig::Kind::Adam},
                                                                            {"sgd", OptimizerConfig::Kind::Sgd}};
  std::vector<std::pair<std::string, std::optional<Precision>>> precisions = {{"auto", std::nullopt}};
  for (const Precision p : kEveryPrecision) precisions.emplace_back(name_of(p), p);
  return {
      integer(
          "p_size", [](C& c) -> int& { return c.p_size; }, 1, 4096, "identities in a batch"),
      k_size(),
      integer(
          "num_epoch", [](C& c) -> int& { return c.num_epoch; }, 1, 100000, "epochs", kChangeable),
      choice(
          "optimizer", [](C& c) -> OptimizerConfig::Kind& { return c.optimizer.kind; }, kinds, "the optimiser"),
      number(
          "lr", [](C& c) -> double& { return c.lr; }, 0, 100, "learning rate"),
      number(
          "wd", [](C& c) -> double& { return c.optimizer.weight_decay; }, 0, 10, "weight decay, added to the gradient"),
      number(
          "momentum", [](C& c) -> double& { return c.optimizer.momentum; }, 0, 0.9999, "momentum of sgd"),
      lr_step(),
      integer(
          "start_eval", [](C& c) -> int& { return c.start_eval; }, 0, 100000,
          "evaluate after later epochs than this one", kChangeable),
      integer(
          "eval_interval", [](C& c) -> int& { return c.eval_interval; }, 0, 100000,
          "epochs from one evaluation to the next; the last epoch always ends with one; 0: none, and no best",
          kChangeable),
      boolean(
          "rerank", [](C& c) -> bool& { return c.rerank; },
          "evaluations re-rank their lists (k-reciprocal encoding, docs/method.md, section 5)"),
      integer(
          "log_period", [](C& c) -> int& { return c.log_period; }, 1, 1000000,
          "steps from one line of log.jsonl to the next", kChangeable),
      integer(
          "checkpoint_every", [](C& c) -> int& { return c.checkpoint_every; }, 0, 1000000,
          "steps from one checkpoint to the next, unless `checkpoint_seconds` is first; 0: not by steps. One is also "
          "written at the end of every epoch",
          kChangeable),
      integer(
          "checkpoint_seconds", [](C& c) -> int& { return c.checkpoint_seconds; }, 0, 1000000,
          "seconds from one checkpoint to the next, unless `checkpoint_every` is first; 0: not by time", kChangeable),
      integer(
          "seed", [](C& c) -> uint64_t& { return c.seed; }, 0, std::numeric_limits<int64_t>::max(),
          "seed of the initial weights, the batches and the augmentation"),
      choice(
          "precision", [](C& c) -> std::optional<Precision>& { return c.precision; }, precisions,
          "what activations are stored in; auto: bf16 on a GPU of compute capability 8.0 or newer, f16 on an older "
          "one, "
          "else f32; tf32: f32, except operands of convolutions and products; sums, losses and parameters are f32, or "
          "f64 "
          "under f64"),
  };
}

std::vector<ConfigKey> data_keys() {
  using C = TrainConfig;
  std::vector<std::pair<std::string, DatasetKind>> kinds;
  for (const DatasetKind kind : kDatasetKinds) kinds.emplace_back(name_of(kind), kind);
  return {
      choice(
          "dataset", [](C& c) -> DatasetKind& { return c.dataset; }, kinds, "layout of the data set on disk"),
      integer(
          "split", [](C& c) -> int& { return c.split; }, 1, kRegDbSplits, "the split of RegDB; others have one"),
      boolean(
          "random_flip", [](C& c) -> bool& { return c.random_flip; }, "mirrors half of the training pictures"),
      boolean(
          "random_crop", [](C& c) -> bool& { return c.random_crop; },
          "pads training pictures and crops them at a random place"),
      integer(
          "padding", [](C& c) -> int& { return c.padding; }, 0, 256, "pixels on each side, for random_crop"),
      boolean(
          "random_erase", [](C& c) -> bool& { return c.random_erase; },
          "erases a rectangle of half of the training pictures"),
      pad_value(),
      integer(
          "data.threads", [](C& c) -> int& { return c.loader_threads; }, 1, 256,
          "threads that decode and augment pictures", kChangeable),
      integer(
          "data.queue", [](C& c) -> int& { return c.loader_queue; }, 1, 256, "batches prepared ahead", kChangeable),
      integer(
          "data.cache_mib", [](C& c) -> int& { return c.cache_mib; }, 0, 1 << 20,
          "memory for decoded pictures that are kept from epoch to epoch, in MiB", kChangeable),
      pack(),
      integer(
          "data.embed_batch", [](C& c) -> int& { return c.embed_batch; }, 1, 4096,
          "pictures in a batch of the evaluation", kChangeable),
  };
}

}  // namespace

const std::vector<ConfigKey>& config_keys() {
  static const std::vector<ConfigKey> keys = [] {
    std::vector<ConfigKey> all = network_keys();
    for (auto& key : training_keys()) all.push_back(std::move(key));
    for (auto& key : data_keys()) all.push_back(std::move(key));
    return all;
  }();
  return keys;
}

const ConfigKey* find_config_key(const std::string& path) {
  for (const ConfigKey& key : config_keys())
    if (key.path == path) return &key;
  return nullptr;
}

const ConfigKey* similar_config_key(const std::string& path) {
  // A key without its group is similar to the full path: "pad_value" to "data.pad_value".
  const auto last = [](const std::string& p) { return p.substr(p.rfind('.') + 1); };
  const ConfigKey* best = nullptr;
  int least = std::numeric_limits<int>::max();
  for (const ConfigKey& key : config_keys()) {
    const auto consider = [&](const std::string& typed, const std::string& known, int more) {
      if (!is_close(typed, known)) return;
      const int distance = 2 * edit_distance(typed, known) + more;
      if (distance < least) least = distance, best = &key;
    };
    consider(path, key.path, 0);
    consider(last(path), last(key.path), 1);
  }
  return best;
}

}  // namespace mpanet
