#include "tests/ops/network_sizes.h"

#include <algorithm>

namespace mpanet {

int64_t NetworkSizes::parameters() const {
  if (narrow > 1) return 1003;
  const int64_t backbone = 23'508'032, attention = (1024 * 1024 + 2048 * 2048) / 16 * 2;
  const int64_t heads = int64_t{3} * identities() * features() + 2 * features();  // classifiers and the BN neck
  return backbone + attention + heads + parts * (2048 + 1);
}

std::vector<int32_t> NetworkSizes::labels() const {
  std::vector<int32_t> labels(static_cast<size_t>(samples));
  for (int i = 0; i < samples; i++) labels[static_cast<size_t>(i)] = i / 4 % identities();
  return labels;
}

std::vector<uint8_t> NetworkSizes::infrared() const {
  std::vector<uint8_t> flags(static_cast<size_t>(samples));
  for (int i = 0; i < samples; i++) flags[static_cast<size_t>(i)] = static_cast<uint8_t>(i % 2);
  return flags;
}

namespace {

// The convolutions of one bottleneck stage: `in` channels at (h, w) become 4 * middle. The first block's 3x3 has the
// stride; later blocks have the first one's output size.
void add_stage(std::vector<ConvShape>& list, int n, int h, int w, int in, int middle, int stride) {
  const int oh = h / stride, ow = w / stride, out = 4 * middle;
  const ConvShape shapes[] = {{n, h, w, in, middle, 1, 1, 1, 0},    {n, h, w, middle, middle, 3, 3, stride, 1},
                              {n, oh, ow, middle, out, 1, 1, 1, 0}, {n, h, w, in, out, 1, 1, stride, 0},
                              {n, oh, ow, out, middle, 1, 1, 1, 0}, {n, oh, ow, middle, middle, 3, 3, 1, 1}};
  for (const ConvShape& shape : shapes)
    if (std::find(list.begin(), list.end(), shape) == list.end()) list.push_back(shape);
}

}  // namespace

std::vector<ConvShape> backbone_convolutions(const NetworkSizes& z) {
  const int n = z.batch, h = z.height / 4, w = z.width / 4;
  const auto c = [&](int channels) { return z.channels(channels); };
  std::vector<ConvShape> list{{n, z.height, z.width, 3, c(64), 7, 7, 2, 3}};
  add_stage(list, n, h, w, c(64), c(64), 1);
  add_stage(list, n, h, w, c(256), c(128), 2);
  add_stage(list, n, h / 2, w / 2, c(512), c(256), 2);
  add_stage(list, n, h / 4, w / 4, c(1024), c(512), 1);
  return list;
}

}  // namespace mpanet
