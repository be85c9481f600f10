#include "mpanet/files/state_dict.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <optional>
#include <set>

#include "core/base/error.h"
#include "core/base/number.h"
#include "core/base/quote.h"
#include "core/base/sha256.h"
#include "core/base/text.h"
#include "mpanet/network/depth.h"

namespace mpanet {
namespace {

constexpr std::string_view kBackbone = "backbone.";
// Tensors that identify a ResNet; the first one in a file determines the prefix.
constexpr std::string_view kAnchors[] = {"conv1.weight", "bn1.weight", "layer1.0.conv1.weight",
                                         "layer4.0.conv1.weight"};
// The first digits of the SHA-256 of torchvision's IMAGENET1K_V2 files (depths 50, 101, 152). The file names have them.
constexpr std::string_view kVersion2[] = {"11ad3fa6", "cd907fc2", "f82ba261"};
// Elements of conv1.weight in torchvision's ResNet-50, IMAGENET1K_V1, to the five digits that PyTorch prints.
constexpr std::pair<size_t, double> kVersion1Stem[] = {{0, 1.3335e-02},  {1, 1.4664e-02},  {2, -1.5351e-02},
                                                       {4, -4.0896e-02}, {5, -4.3034e-02}, {6, -7.0755e-02},
                                                       {7, 4.1205e-03},  {8, 5.8477e-03},  {9, 1.4948e-02}};
// If a file has several networks, the one in the first of these is used.
constexpr std::string_view kDictionaries[] = {"", "model.", "state_dict.", "net.", "module."};

// The prefix of an anchor, without "backbone."; nullopt if the name is another tensor's. conv1 and bn1 are also names
// in every block, after its number.
std::optional<std::string> prefix_before(std::string_view name, std::string_view anchor) {
  if (!name.ends_with(anchor)) return std::nullopt;
  std::string_view before = name.substr(0, name.size() - anchor.size());
  if (before.ends_with(kBackbone)) before.remove_suffix(kBackbone.size());
  if (!before.empty() && before.back() != '.') return std::nullopt;
  const std::string_view last = before.substr(0, before.empty() ? 0 : before.size() - 1);
  const std::string_view component = last.substr(last.rfind('.') + 1);
  if (!component.empty() && component.find_first_not_of("0123456789") == component.npos) return std::nullopt;
  return std::string(before);
}

std::set<std::string> find_prefixes(const TensorFile& file) {
  std::set<std::string> found;
  for (const std::string_view anchor : kAnchors) {
    for (const auto& [name, entry] : file.tensors())
      if (const auto prefix = prefix_before(name, anchor); prefix && !prefix->starts_with("optimizer."))
        found.insert(*prefix);
    if (!found.empty()) break;
  }
  return found;
}

std::string find_prefix(const TensorFile& file) {
  const std::set<std::string> found = find_prefixes(file);
  if (found.empty())
    fail("{}: expected the weights of an MPANet or a ResNet (backbone.conv1.weight or conv1.weight), got {}{}",
         file.path(), counted(file.tensors().size(), "other tensor"),
         file.tensors().empty() ? "" : ", the first " + quote(file.tensors().begin()->first));
  if (found.size() == 1) return *found.begin();
  for (const std::string_view dictionary : kDictionaries)
    for (const std::string& prefix : found)
      if (dictionary.empty() ? prefix.empty() : prefix.starts_with(dictionary)) return prefix;
  fail("{}: expected one network, got several: {}", file.path(),
       join(std::vector<std::string>(found.begin(), found.end())));
}

bool is_of_backbone(std::string_view name) {
  return name.starts_with("conv1.") || name.starts_with("bn1.") || name.starts_with("layer") || name.starts_with("MAM");
}

// The blocks of each stage, by the highest number.
std::array<int, 4> count_blocks(const StateDict& state) {
  std::array<int, 4> blocks{};
  for (const auto& [name, in_file] : state.names)
    for (int stage = 0; stage < 4; stage++) {
      const std::string start = fmt::format("backbone.layer{}.", stage + 1);
      if (!name.starts_with(start)) continue;
      const auto index =
          parse_whole<int>(std::string_view(name).substr(start.size(), name.find('.', start.size()) - start.size()));
      if (index && *index >= 0 && *index < 1000) blocks[stage] = std::max(blocks[stage], *index + 1);
    }
  return blocks;
}

std::string infer_depth(const TensorFile& file, const StateDict& state) {
  const std::array<int, 4> blocks = count_blocks(state);
  const bool bottleneck = std::any_of(state.names.begin(), state.names.end(), [](const auto& name) {
    return name.first.starts_with("backbone.layer") && name.first.find(".conv3.") != name.first.npos;
  });
  int64_t width = 0;
  for (const char* name : {"backbone.conv1.weight", "backbone.bn1.weight", "backbone.bn1.running_mean"})
    if (const TensorEntry* entry = state.find(file, name); entry && width == 0 && !entry->shape.empty())
      width = entry->shape[0];
  std::string nearest;
  for (const char* name : {"tiny", "18", "34", "50", "101", "152"}) {
    const Depth known = find_depth(name);
    if ((width != 0 && known.width != width) || known.bottleneck != bottleneck) continue;
    if (known.blocks == blocks) return name;
    const bool part = std::equal(blocks.begin(), blocks.end(), known.blocks.begin(), std::less_equal<>());
    if (part && nearest.empty()) nearest = name;
  }
  if (nearest.empty())
    fail("{}: expected a ResNet 18, 34, 50, 101, 152 or tiny, got {} blocks in ({}, {}, {}, {}) and a stem of {}",
         file.path(), bottleneck ? "bottleneck" : "basic", blocks[0], blocks[1], blocks[2], blocks[3], width);
  const Depth known = find_depth(nearest);
  int stage = 0;
  while (blocks[stage] == known.blocks[stage]) stage++;
  fail("{}: tensor {}backbone.layer{}.{}.conv1.weight is missing (of a ResNet {})", file.path(), state.prefix,
       stage + 1, blocks[stage], nearest);
}

}  // namespace

const TensorEntry* StateDict::find(const TensorFile& file, const std::string& name) const {
  const auto found = names.find(name);
  return found == names.end() ? nullptr : file.find(found->second);
}

std::string StateDict::name_in_file(const std::string& name) const {
  if (const auto found = names.find(name); found != names.end()) return found->second;
  return prefix + (torchvision && name.starts_with(kBackbone) ? name.substr(kBackbone.size()) : name);
}

bool is_classifier(const std::string& tensor) {
  return tensor.find("classifier") != tensor.npos || tensor.starts_with("center_loss.");
}

bool is_left(const std::string& name) {
  return name.starts_with("fc.") || name.starts_with("optimizer.") || name.ends_with("num_batches_tracked");
}

bool has_network(const TensorFile& file) { return !find_prefixes(file).empty(); }

StateDict find_state_dict(const TensorFile& file) {
  StateDict state;
  state.prefix = find_prefix(file);
  for (const std::string& prefix : find_prefixes(file))
    if (prefix != state.prefix) state.other_prefixes.push_back(prefix);
  for (const auto& [name, entry] : file.tensors()) {
    if (!name.starts_with(state.prefix)) {
      state.outside.push_back(name);
      continue;
    }
    std::string known = name.substr(state.prefix.size());
    if (is_of_backbone(known)) {
      known = std::string(kBackbone) + known;
      state.torchvision = true;
    }
    if (!state.names.emplace(known, name).second)
      fail("{}: tensor {} is given twice, with and without the prefix backbone.", file.path(), known);
  }
  return state;
}

WeightsReport begin_report(const StateDict& state) {
  WeightsReport report;
  report.prefix = state.prefix;
  report.other_prefixes = state.other_prefixes;
  for (const std::string& name : state.outside) report.left.push_back(quote(name) + " (beside the network)");
  return report;
}

std::string report_line(const WeightsReport& report) {
  constexpr size_t kShown = 3;
  std::string line = fmt::format("{} taken, {} not used, {} drawn at random", counted(report.taken.size(), "tensor"),
                                 report.left.size(), report.random.size());
  if (!report.prefix.empty()) line += fmt::format("; prefix {} stripped", quote(report.prefix));
  for (const std::string& other : report.other_prefixes)
    line +=
        fmt::format("; another network in the file, {}, is not used", other.empty() ? "without prefix" : quote(other));
  std::vector<std::string> first(
      report.unknown.begin(), report.unknown.begin() + static_cast<ptrdiff_t>(std::min(kShown, report.unknown.size())));
  for (std::string& name : first) name = quote(name);
  if (!first.empty()) line += "; not of this network: " + join(first);
  if (report.unknown.size() > kShown) line += fmt::format(" and {} more", report.unknown.size() - kShown);
  return line;
}

std::string report_text(const WeightsReport& report) {
  std::string text;
  for (const auto& [word, names] :
       {std::pair("taken", &report.taken), std::pair("left", &report.left), std::pair("random", &report.random)})
    for (const std::string& name : *names) text += fmt::format("{} {}\n", word, name);
  return text;
}

namespace {

// Whether the stem is that of torchvision's ResNet-50 of 2015, as it was published; converted files too.
bool has_version1_stem(const TensorFile& file, const StateDict& state) {
  const std::vector<double> stem = file.read(state.names.at("backbone.conv1.weight"));
  return std::all_of(std::begin(kVersion1Stem), std::end(kVersion1Stem), [&](const auto& known) {
    return std::abs(stem[known.first] - known.second) <= 0.01 * std::abs(known.second);  // bf16 is off by 0.4 %
  });
}

// The whole file, read through the open descriptor: a pipe cannot be read twice.
std::string sum_of(const TensorFile& file) {
  Sha256 sum;
  std::vector<uint8_t> chunk(1 << 20);
  for (uint64_t at = 0; at < file.size(); at += chunk.size())
    sum.add(chunk.data(), file.read_file(chunk.data(), chunk.size(), at));
  return sum.hex();
}

// By the SHA-256 of torchvision's own file, or by its name.
bool is_version2_file(const TensorFile& file, const StateDict& state) {
  std::string name = file.path().substr(file.path().rfind('/') + 1);
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (name.find("imagenet1k_v2") != name.npos) return true;
  // Only torchvision's own files have ImageNet's classifier with its size. The checksum of other files is not needed.
  const TensorEntry* classifier = state.find(file, "fc.bias");
  const bool original = file.format() != TensorFile::Format::Safetensors && classifier && classifier->count() == 1000;
  const std::string sum = original ? sum_of(file) : "";
  return std::any_of(std::begin(kVersion2), std::end(kVersion2), [&](const std::string_view start) {
    return name.find(start) != name.npos || sum.starts_with(start);
  });
}

}  // namespace

std::string torchvision_warning(const TensorFile& file, const StateDict& state) {
  if (!state.torchvision) return "";
  if (is_version2_file(file, state))
    return fmt::format("{}: torchvision's V2 weights; the method was published with V1 (IMAGENET1K_V1)", file.path());
  const TensorEntry* stem = state.find(file, "backbone.conv1.weight");
  const bool known = stem && stem->shape == std::vector<int64_t>{64, 3, 7, 7} && infer_depth(file, state) == "50";
  if (!known || has_version1_stem(file, state)) return "";
  return fmt::format("{}: not torchvision's V1 weights (IMAGENET1K_V1), with which the method was published",
                     file.path());
}

ModelConfig infer_model(const TensorFile& file, const StateDict& state) {
  ModelConfig model;
  model.depth = infer_depth(file, state);
  const auto has = [&](const char* start) {
    const auto found = state.names.lower_bound(start);
    return found != state.names.end() && found->first.starts_with(start);
  };
  model.mam = has("backbone.MAM3.") ? 2 : has("backbone.MAM4.") ? 1 : 0;
  model.parts = 0;
  for (const char* name : {"spatial_attention.weight", "spatial_attention.bias"})
    if (const auto* maps = state.find(file, name); maps && !maps->shape.empty() && model.parts == 0)
      model.parts = static_cast<int>(std::clamp<int64_t>(maps->shape[0], 1, 8));
  return model;
}

}  // namespace mpanet
