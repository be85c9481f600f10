#include "bench/kernel_bench.h"

#include <fmt/format.h>

#include <algorithm>

namespace mpanet {

int64_t KernelSizes::parameters() const {
  if (narrow > 1) return 1003;
  const int64_t backbone = 23'508'032, attention = (1024 * 1024 + 2048 * 2048) / 16 * 2;
  const int64_t heads = int64_t{3} * identities() * features() + 2 * features();  // classifiers and the BN neck
  return backbone + attention + heads + parts * (2048 + 1);
}

namespace {

// One bottleneck stage: `in` channels at (h, w) become 4 * middle; the first block's 3x3 has the stride, later blocks
// read what the first one wrote.
void add_stage(std::vector<ConvShape>& list, int n, int h, int w, int in, int middle, int stride) {
  const int oh = h / stride, ow = w / stride, out = 4 * middle;
  const ConvShape shapes[] = {{n, h, w, in, middle, 1, 1, 1, 0},    {n, h, w, middle, middle, 3, 3, stride, 1},
                              {n, oh, ow, middle, out, 1, 1, 1, 0}, {n, h, w, in, out, 1, 1, stride, 0},
                              {n, oh, ow, out, middle, 1, 1, 1, 0}, {n, oh, ow, middle, middle, 3, 3, 1, 1}};
  for (const ConvShape& shape : shapes)
    if (std::find(list.begin(), list.end(), shape) == list.end()) list.push_back(shape);
}

}  // namespace

std::vector<ConvShape> backbone_convolutions(const KernelSizes& z) {
  const int n = z.batch, h = z.height / 4, w = z.width / 4;
  const auto c = [&](int channels) { return z.channels(channels); };
  std::vector<ConvShape> list{{n, z.height, z.width, 3, c(64), 7, 7, 2, 3}};
  add_stage(list, n, h, w, c(64), c(64), 1);
  add_stage(list, n, h, w, c(256), c(128), 2);
  add_stage(list, n, h / 2, w / 2, c(512), c(256), 2);
  add_stage(list, n, h / 4, w / 4, c(1024), c(512), 1);
  return list;
}

std::string describe(const ConvShape& s) {
  return fmt::format("{}x{}x{}x{} -> {}, {}x{}/{}", s.n, s.h, s.w, s.c, s.k, s.kh, s.kw, s.stride);
}

void* Memory::allocate(size_t bytes) {
  bytes = (bytes + 255) / 256 * 256 + 256;  // whole words for fills by copies, and no two of them share one
  bytes_ += bytes;
  if (dry_) return reinterpret_cast<void*>(bytes_ << 8);
  buffers_.emplace_back(context_, bytes);
  return buffers_.back().as<void>();
}

void Memory::upload(void* to, const void* from, size_t bytes) {
  if (!dry_) context_.to_device(to, from, bytes);
}

}  // namespace mpanet
