// A batch of pictures with labels and modalities: the loader's output, the engine's input.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "core/base/picture_cut.h"

namespace mpanet {

// What a batch brings of its pictures.
enum class PictureForm {
  Floats,  // the network's input: augmented and normalised
  Bytes,   // resized pictures, and the decisions of their augmentation
  Held     // the decisions; the pictures are in the set that the device holds
};

struct Batch {
  int count = 0, height = 0, width = 0;
  PictureForm form = PictureForm::Floats;
  // Floats: (count, height, width, 3), RGB, scaled to [0,1], mean subtracted, divided by std.
  std::vector<float> images;
  // Bytes: (count, height, width, 3), RGB, in memory of pixel_bytes. A copy of a batch shares them.
  std::shared_ptr<uint8_t> pixels;
  size_t pixel_bytes = 0;
  std::vector<PictureCut> cuts;   // (count); Bytes: of `pixels`, Held: of the device's set
  std::vector<int32_t> labels;    // (count), class index 0..classes-1; EngineEmbed ignores it
  std::vector<uint8_t> infrared;  // (count), 1 infrared, 0 visible; EngineEmbed ignores it
};

}  // namespace mpanet
