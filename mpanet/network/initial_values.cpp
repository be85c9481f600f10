#include "mpanet/network/initial_values.h"

#include <cmath>

#include "core/base/random.h"

namespace mpanet {
namespace {

uint32_t name_hash(const std::string& name) {  // FNV-1a, 32 bits
  uint32_t h = 0x811C9DC5;
  for (const char c : name) h = (h ^ static_cast<uint8_t>(c)) * 0x01000193;
  return h;
}

}  // namespace

std::vector<double> initial_values(const std::string& name, const std::vector<int64_t>& shape, uint64_t seed) {
  size_t count = 1;
  for (const int64_t d : shape) count *= static_cast<size_t>(d);
  // "visible_classifier_.weight" starts as "visible_classifier.weight".
  std::string source = name;
  if (const size_t at = source.find("classifier_."); at != std::string::npos) source.erase(at + 10, 1);
  if (shape.size() == 1) return std::vector<double>(count, name.ends_with("weight") || name.ends_with("running_var"));

  Random random(seed, Purpose::Init, 0, name_hash(source));
  std::vector<double> values(count);
  const bool uniform = shape.size() == 2 ? name != "center_loss.centers" : name == "spatial_attention.weight";
  if (uniform) {
    const double bound = 1 / std::sqrt(static_cast<double>(shape[1]));
    for (double& v : values) v = random.uniform(-bound, bound);
  } else {
    const double deviation =
        shape.size() == 4 ? std::sqrt(2.0 / static_cast<double>(shape[0] * shape[2] * shape[3])) : 1;
    for (double& v : values) v = deviation * random.normal();
  }
  return values;
}

}  // namespace mpanet
