#include "mpanet/files/weights.h"

#include <map>
#include <set>

#include "core/base/error.h"
#include "core/base/quote.h"
#include "core/base/text.h"
#include "mpanet/files/checkpoint.h"
#include "mpanet/files/safetensors.h"

namespace mpanet {
namespace {

// Names of a live classifier and of its teacher.
constexpr std::pair<const char*, const char*> kTeachers[] = {
    {"visible_classifier.weight", "visible_classifier_.weight"},
    {"infrared_classifier.weight", "infrared_classifier_.weight"}};

bool never_taken(const std::string& name) {
  return name.starts_with("fc.") || name.starts_with("optimizer.") || name.ends_with("num_batches_tracked");
}

struct Match {
  std::string file_name;
  const TensorInfo* tensor;
};

// Pairs the file's tensors with the engine's, and checks all shapes before a caller writes anything.
std::vector<Match> match_names(const TensorFile& file, const EngineState& engine, WeightsReport& report) {
  std::map<std::string, const TensorInfo*> known;
  for (const TensorInfo& tensor : engine.tensors()) known[tensor.name] = &tensor;
  std::vector<Match> matches;
  for (const auto& [name, entry] : file.tensors()) {
    auto found = known.find(name);
    if (found == known.end()) found = known.find("backbone." + name);
    if (never_taken(name) || found == known.end()) {
      report.left.push_back(never_taken(name) ? quote(name) : quote(name) + " (not of this network)");
    } else if (const auto& want = found->second->shape; entry.shape == want) {
      matches.push_back({name, found->second});
    } else if (is_classifier(name) && entry.shape.size() == want.size() && entry.shape[0] != want[0]) {
      report.left.push_back(fmt::format("{} ({} classes, not {})", quote(name), entry.shape[0], want[0]));
    } else {
      fail("{}: tensor {}: expected shape {}, got {}", file.path(), quote(name), shape_text(want),
           shape_text(entry.shape));
    }
  }
  return matches;
}

}  // namespace

WeightsReport load_weights(const std::string& path, EngineState& engine) {
  const TensorFile file(path);
  WeightsReport report;
  const std::vector<Match> matches = match_names(file, engine, report);
  std::set<std::string> taken;
  for (const Match& match : matches)
    if (!taken.insert(match.tensor->name).second)
      fail("{}: tensor {} is given twice, with and without the prefix backbone.", path, match.tensor->name);
  if (!taken.contains("backbone.conv1.weight"))
    fail("{}: expected weights under torchvision's names (conv1.weight) or the authors' (backbone.conv1.weight)", path);

  for (const Match& match : matches)
    engine.write(match.tensor->name, Slot::Value, read_finite(file, match.file_name).data());
  for (const auto& [live, teacher] : kTeachers)
    if (taken.contains(live) && taken.insert(teacher).second)
      engine.write(teacher, Slot::Value, read_finite(file, live).data());
  for (const TensorInfo& tensor : engine.tensors())
    (taken.contains(tensor.name) ? report.taken : report.random).push_back(tensor.name);
  return report;
}

std::string report_line(const WeightsReport& report) {
  return fmt::format("{} taken, {} left, {} drawn at random", counted(report.taken.size(), "tensor"),
                     report.left.size(), report.random.size());
}

std::string report_text(const WeightsReport& report) {
  std::string text;
  for (const auto& [word, names] :
       {std::pair("taken", &report.taken), std::pair("left", &report.left), std::pair("random", &report.random)})
    for (const std::string& name : *names) text += fmt::format("{} {}\n", word, name);
  return text;
}

}  // namespace mpanet
