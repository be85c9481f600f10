#include "mpanet/report/pictures.h"

#include <fmt/format.h>

#include "core/base/error.h"
#include "data/pictures/decode_all.h"
#include "data/pictures/resize.h"
#include "mpanet/report/html.h"

namespace mpanet {
namespace {

constexpr int kHeight = 160, kWidth = 60, kQuality = 75;

}  // namespace

bool pictures_supported() { return jpeg_supported() || png_supported(); }

std::string picture_uri(const Image& image) {
  return jpeg_supported() ? data_uri("image/jpeg", encode_jpeg(image, kQuality))
                          : data_uri("image/png", encode_png(image));
}

size_t Thumbnails::add(const std::string& path) {
  const auto [known, fresh] = numbers_.emplace(path, paths_.size());
  if (fresh) paths_.push_back(path);
  return known->second;
}

void Thumbnails::load(int threads) {
  uris_.resize(paths_.size());
  decode_all(
      paths_.size(), threads, [&](size_t i) { return paths_[i]; },
      [&](size_t i, const Decoded& decoded) {
        if (!decoded.error.empty()) fail("{}", decoded.error);
        uris_[i] = picture_uri(resize_bilinear(decoded.image, kHeight, kWidth));
      });
}

std::string Thumbnails::definitions() const {
  std::string made = "<svg class=\"definitions\" width=\"0\" height=\"0\" aria-hidden=\"true\"><defs>\n";
  for (size_t i = 0; i < uris_.size(); i++)
    made += fmt::format("<image id=\"p{}\" width=\"{}\" height=\"{}\" preserveAspectRatio=\"none\" href=\"{}\"/>\n", i,
                        kWidth, kHeight, uris_[i]);
  return made + "</defs></svg>\n";
}

std::string Thumbnails::shown(size_t number, std::string_view alternative) {
  return fmt::format(
      "<svg class=\"thumb\" viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\"><use href=\"#p{}\"/></svg>", kWidth,
      kHeight, escape(alternative), number);
}

}  // namespace mpanet
