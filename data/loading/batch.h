// A batch of normalised pictures with labels and modalities: the loader's output, the engine's input.
#pragma once
#include <cstdint>
#include <vector>

namespace mpanet {

struct Batch {
  int count = 0, height = 0, width = 0;
  std::vector<float> images;      // (count, height, width, 3), RGB, scaled to [0,1], mean subtracted, divided by std
  std::vector<int32_t> labels;    // (count), class index 0..classes-1; EngineEmbed ignores it
  std::vector<uint8_t> infrared;  // (count), 1 infrared, 0 visible; EngineEmbed ignores it
};

}  // namespace mpanet
