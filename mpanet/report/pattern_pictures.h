// Pattern maps (paper section 3.3) over pictures, of two pictures side by side.
#pragma once
#include <array>
#include <string>
#include <utility>
#include <vector>

#include "data/pictures/image.h"
#include "mpanet/evaluation/evaluate.h"
#include "mpanet/network/engine.h"

namespace mpanet {

// A picture with its embedding and its pattern maps (map_shape() of the engine), empty without patterns.
struct EmbeddedPicture {
  Image picture;  // in a size to be shown, with the proportions that the network sees
  std::vector<float> embedding, maps;
};

// UserError for a picture that cannot be read.
std::vector<EmbeddedPicture> embed_pictures(EngineEmbed& engine, const EmbedOptions& options,
                                            const std::vector<std::string>& paths);

// Two pictures under each of their maps. A map's smallest value over both pictures is dark blue, its largest yellow.
struct MappedPair {
  std::array<std::vector<Image>, 2> overlays;   // per picture and pattern
  std::vector<std::pair<float, float>> ranges;  // per pattern: the smallest and largest value over both
};
MappedPair map_pair(const EmbeddedPicture& a, const EmbeddedPicture& b, const MapShape& shape);

struct MappedPerson {
  std::array<ImageRecord, 2> images;  // a visible and an infrared one
  std::array<Image, 2> pictures;
  MappedPair maps;
};

// Up to `count` identities that have pictures of both modalities among `images`, at equal distances by identity: a
// visible and an infrared picture of each, the first by path.
std::vector<std::pair<ImageRecord, ImageRecord>> chosen_persons(const std::vector<ImageRecord>& images, size_t count);

// Embeds these pictures, below `root`, and maps them. The engine must have pattern maps.
std::vector<MappedPerson> map_persons(EngineEmbed& engine, const EmbedOptions& options,
                                      const std::vector<std::pair<ImageRecord, ImageRecord>>& persons,
                                      const std::string& root);

// A colour for 0..1, from dark blue to yellow, with luminance that increases steadily: after the colour map cividis
// (Nuñez, Anderton and Renslow 2018), which colour-blind people read as others do.
std::array<uint8_t, 3> map_color(double value);

}  // namespace mpanet
