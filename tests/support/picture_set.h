// Random pictures, and batches of them in every form. All forms of one batch are the same input of a network.
#pragma once
#include <algorithm>
#include <cstring>
#include <functional>
#include <vector>

#include "core/base/random.h"
#include "data/loading/augment.h"
#include "mpanet/network/engine.h"

namespace mpanet {

class PictureSet {
 public:
  PictureSet(int pictures, int height, int width)
      : pictures_(pictures), height_(height), width_(width), bytes_(static_cast<size_t>(pictures) * picture_bytes()) {
    Random random(2, Purpose::Test, 0, 0);
    for (uint8_t& byte : bytes_) byte = static_cast<uint8_t>(random.below(256));
  }
  size_t picture_bytes() const { return size_t{3} * static_cast<size_t>(height_) * static_cast<size_t>(width_); }
  const uint8_t* picture(int i) const { return bytes_.data() + static_cast<size_t>(i) * picture_bytes(); }

  // Sets up an engine for batches in this form, and gives it the set if it holds one.
  void configure(EngineConfig& config, PictureForm form) const {
    config.pictures = form;
    if (form != PictureForm::Floats) config.picture_values = picture_values(table_, augment_.pad_value);
    if (form == PictureForm::Held) config.held_pictures = pictures_;
  }
  void give(Engine& engine) const {
    if (engine.form() != PictureForm::Held) return;
    for (int i = 0; i < pictures_; i++) engine.hold(i, picture(i));
  }

  // `index` selects pictures and augmentation. Bytes are in the engine's memory.
  Batch batch(Engine& engine, PictureForm form, int count, int classes, uint32_t index) const {
    Batch batch;
    batch.count = count, batch.height = height_, batch.width = width_;
    batch.form = form;
    const size_t size = static_cast<size_t>(count) * picture_bytes();
    if (form == PictureForm::Floats) batch.images.resize(size);
    if (form == PictureForm::Bytes) batch.pixels = engine.host_memory(size), batch.pixel_bytes = size;
    for (int i = 0; i < count; i++) {
      Random random(3, Purpose::Test, index, static_cast<uint32_t>(i));
      const int chosen = static_cast<int>(random.below(static_cast<uint32_t>(pictures_)));
      const Augmentation drawn = draw_augmentation(augment_, height_, width_, random);
      const size_t at = static_cast<size_t>(i) * picture_bytes();
      if (form == PictureForm::Floats)
        augment_image(picture(chosen), height_, width_, augment_, drawn, table_, batch.images.data() + at);
      if (form == PictureForm::Bytes) std::memcpy(batch.pixels.get() + at, picture(chosen), picture_bytes());
      if (form != PictureForm::Floats)
        batch.cuts.push_back(cut_of(augment_, drawn, form == PictureForm::Held ? chosen : i));
      batch.labels.push_back(i / 2 % classes);
      batch.infrared.push_back(i % 2 == 0);
    }
    return batch;
  }

 private:
  int pictures_, height_, width_;
  AugmentConfig augment_;
  PixelTable table_;
  std::vector<uint8_t> bytes_;
};

}  // namespace mpanet
