// The ResNet depths (docs/method.md, section 1): blocks per stage, width, kind of block.
#pragma once
#include <array>
#include <string>

namespace mpanet {

struct Depth {
  bool bottleneck = true;
  std::array<int, 4> blocks{};
  int width = 64;                                           // of the stem and the first stage; doubles per stage
  int expansion() const { return bottleneck ? 4 : 1; }      // output channels of a stage / its width
  int channels() const { return width * 8 * expansion(); }  // output channels of the last stage
};

// "18", "34", "50", "101", "152", "tiny"; UserError naming the known ones otherwise.
Depth find_depth(const std::string& name);

}  // namespace mpanet
