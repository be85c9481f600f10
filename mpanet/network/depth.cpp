#include "mpanet/network/depth.h"

#include <map>

#include "core/base/error.h"
#include "mpanet/network/engine.h"

namespace mpanet {

Depth find_depth(const std::string& name) {
  static const std::map<std::string, Depth> known = {
      {"tiny", {false, {1, 1, 1, 1}, 16}}, {"18", {false, {2, 2, 2, 2}, 64}},  {"34", {false, {3, 4, 6, 3}, 64}},
      {"50", {true, {3, 4, 6, 3}, 64}},    {"101", {true, {3, 4, 23, 3}, 64}}, {"152", {true, {3, 8, 36, 3}, 64}}};
  const auto found = known.find(name);
  if (found == known.end()) fail("depth: expected tiny, 18, 34, 50, 101 or 152, got \"{}\"", name);
  return found->second;
}

int backbone_channels(const std::string& depth) { return find_depth(depth).channels(); }

void check_image_size(const ModelConfig& model) {
  // Layers of stride 2: stem (7x7, padding 3), max pool (3x3, padding 1), layer2, layer3, perhaps layer4. Each maps a
  // size n to (n - 1) / 2 + 1.
  const int halvings = 2 + 2 + (model.drop_last_stride ? 0 : 1);
  int h = model.height, w = model.width;
  for (int i = 0; i < halvings; i++) {
    h = (h - 1) / 2 + 1;
    w = (w - 1) / 2 + 1;
  }
  if (model.height < 1 || model.width < 1 || h * w < 2)
    fail("image_size: expected a height and width that leave at least two positions after the backbone, got {}x{}",
         model.height, model.width);
}

}  // namespace mpanet
