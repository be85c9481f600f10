// Pattern maps (paper section 3.3) over pictures of persons, a visible and an infrared one of each.
#pragma once
#include <string>
#include <vector>

#include "mpanet/evaluation/evaluate.h"
#include "mpanet/network/engine.h"

namespace mpanet {

struct MappedPicture {
  ImageRecord image;
  std::string uri;                // the picture
  std::vector<std::string> maps;  // the picture under each map
};

struct MappedPerson {
  int identity = 0;
  MappedPicture visible, infrared;
  std::vector<std::pair<float, float>> ranges;  // per pattern: the smallest and largest value over both pictures
};

// Up to `count` identities that have pictures of both modalities among `images`, at equal distances by identity: a
// visible and an infrared picture of each, the first by path.
std::vector<std::pair<ImageRecord, ImageRecord>> chosen_persons(const std::vector<ImageRecord>& images, size_t count);

// The maps of these pictures, below `root`. A map's smallest value over both pictures is dark blue, its largest yellow.
// UserError for a picture that cannot be read. CheckError for a network without pattern maps.
std::vector<MappedPerson> map_persons(EngineEmbed& engine, const EmbedOptions& options,
                                      const std::vector<std::pair<ImageRecord, ImageRecord>>& persons,
                                      const std::string& root);

// A colour for 0..1, from dark blue to yellow, with luminance that increases steadily: after the colour map cividis
// (Nuñez, Anderton and Renslow 2018), which colour-blind people read as others do.
std::array<uint8_t, 3> map_color(double value);

}  // namespace mpanet
