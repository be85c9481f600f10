#include "mpanet/files/weights.h"

#include <map>
#include <set>

#include "core/base/error.h"
#include "core/base/quote.h"
#include "mpanet/files/checkpoint.h"
#include "mpanet/files/tensor_file.h"

namespace mpanet {
namespace {

// Names of a live classifier and of its teacher.
constexpr std::pair<const char*, const char*> kTeachers[] = {
    {"visible_classifier.weight", "visible_classifier_.weight"},
    {"infrared_classifier.weight", "infrared_classifier_.weight"}};

bool is_missed(const std::string& name) { return name.starts_with("backbone.") && name.find(".MAM") == name.npos; }

// Everything behind the backbone has another shape with other parts.
bool depends_on_parts(const std::string& name) {
  return name.starts_with("spatial_attention.") || name.starts_with("bn_neck.") || is_classifier(name);
}

int64_t parts_of(const std::vector<int64_t>* maps) { return maps && !maps->empty() ? (*maps)[0] : 0; }

// Finds the tensors to take; all shapes are checked before anything is written.
class Matches {
 public:
  Matches(const TensorFile& file, const StateDict& state, const EngineState& engine)
      : file_(file), report_(begin_report(state)) {
    for (const TensorInfo& tensor : engine.tensors()) known_[tensor.name] = &tensor;
    const TensorEntry* maps = state.find(file, kMaps);
    file_parts_ = parts_of(maps ? &maps->shape : nullptr);
    parts_ = parts_of(known_.contains(kMaps) ? &known_.at(kMaps)->shape : nullptr);
    for (const auto& [name, in_file] : state.names) match(name, in_file);
    for (const TensorInfo& tensor : engine.tensors())
      if (is_missed(tensor.name) && !taken_.contains(tensor.name))
        fail("{}: tensor {} is missing", file.path(), state.name_in_file(tensor.name));
  }
  std::set<std::string>& taken() { return taken_; }
  WeightsReport& report() { return report_; }

 private:
  static constexpr const char* kMaps = "spatial_attention.weight";

  void match(const std::string& name, const std::string& in_file) {
    const auto found = known_.find(name);
    if (is_left(name)) return leave(in_file, "");
    if (found == known_.end()) {
      if (!is_classifier(name)) report_.unknown.push_back(in_file);
      return leave(in_file, " (not of this network)");
    }
    const std::vector<int64_t>&shape = file_.find(in_file)->shape, &want = found->second->shape;
    if (shape == want) {
      taken_.insert(name);
    } else if (file_parts_ != parts_ && depends_on_parts(name)) {
      leave(in_file, fmt::format(" ({} parts, not {})", file_parts_, parts_));
    } else if (is_classifier(name) && shape.size() == want.size() && shape[0] != want[0]) {
      leave(in_file, fmt::format(" ({} classes, not {})", shape[0], want[0]));
    } else {
      fail("{}: tensor {}: expected shape {}, got {}", file_.path(), quote(in_file), shape_text(want),
           shape_text(shape));
    }
  }
  void leave(const std::string& name, const std::string& reason) { report_.left.push_back(quote(name) + reason); }

  const TensorFile& file_;
  std::map<std::string, const TensorInfo*> known_;
  int64_t file_parts_ = 0, parts_ = 0;
  std::set<std::string> taken_;
  WeightsReport report_;
};

}  // namespace

WeightsReport load_weights(const std::string& path, EngineState& engine, std::string* warning) {
  const TensorFile file(path);
  const StateDict state = find_state_dict(file);
  Matches matches(file, state, engine);
  std::set<std::string>& taken = matches.taken();
  const auto take = [&](const std::string& from, const std::string& to) {
    engine.write(to, Slot::Value, read_finite(file, state.names.at(from), engine.real_bytes()).data());
  };
  for (const std::string& name : taken) take(name, name);
  for (const auto& [live, teacher] : kTeachers)
    if (taken.contains(live) && taken.insert(teacher).second) take(live, teacher);
  WeightsReport report = matches.report();
  for (const TensorInfo& tensor : engine.tensors())
    (taken.contains(tensor.name) ? report.taken : report.random).push_back(tensor.name);
  if (warning) *warning = torchvision_warning(file, state);
  return report;
}

}  // namespace mpanet
