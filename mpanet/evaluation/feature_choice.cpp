#include "mpanet/evaluation/feature_choice.h"

#include <algorithm>
#include <charconv>

#include "core/base/error.h"
#include "core/base/quote.h"

namespace mpanet {
namespace {

constexpr double kNormEps = 1e-5;

// "2 and global"
std::string piece_names(const std::vector<int>& pieces, int parts) {
  std::string names;
  for (const int piece : pieces) {
    if (!names.empty()) names += piece == pieces.back() ? " and " : ", ";
    names += piece == parts ? "global" : std::to_string(piece + 1);
  }
  return names;
}

int parse_piece(std::string_view text, int parts) {
  if (text == "global") return parts;
  int number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < 1 || number > parts) {
    const std::string known = parts == 0 ? "global alone" : fmt::format("1..{} and global", parts);
    fail("--parts: this network has {}, got {}", known, quote(text));
  }
  return number - 1;
}

}  // namespace

FeatureChoice parse_feature(std::string_view feature, std::string_view pieces, int parts) {
  FeatureChoice choice;
  if (feature != "bn" && feature != "before-bn") fail("--feature: expected bn or before-bn, got {}", quote(feature));
  choice.before_neck = feature == "before-bn";
  if (pieces == "all") return choice;
  for (size_t begin = 0; begin <= pieces.size();) {
    const size_t comma = std::min(pieces.find(',', begin), pieces.size());
    choice.pieces.push_back(parse_piece(pieces.substr(begin, comma - begin), parts));
    begin = comma + 1;
  }
  std::sort(choice.pieces.begin(), choice.pieces.end());
  const auto twice = std::adjacent_find(choice.pieces.begin(), choice.pieces.end());
  if (twice != choice.pieces.end()) fail("--parts: {} stands twice", piece_names({*twice}, parts));
  return choice;
}

std::string describe(const FeatureChoice& choice, int parts) {
  std::string text = choice.before_neck ? "BN neck input" : "BN neck output";
  if (!choice.pieces.empty()) text += ", parts " + piece_names(choice.pieces, parts);
  return text;
}

void bypass_neck(EngineState& engine) {
  for (const TensorInfo& tensor : engine.tensors()) {
    if (!tensor.name.starts_with("bn_neck.")) continue;
    double value = 0;
    if (tensor.name == "bn_neck.weight") value = 1;
    if (tensor.name == "bn_neck.running_var") value = 1 - kNormEps;
    engine.write(tensor.name, Slot::Value, std::vector<double>(tensor.count(), value).data());
  }
}

void keep_pieces(const FeatureChoice& choice, int parts, Embeddings& embeddings) {
  if (choice.pieces.empty()) return;
  embeddings.on_device = nullptr;  // which has all pieces
  const size_t length = embeddings.dimension / (parts + 1), rows = embeddings.values.size() / embeddings.dimension;
  // In place: no number moves towards the end.
  auto to = embeddings.values.begin();
  for (size_t r = 0; r < rows; r++)
    for (const int piece : choice.pieces) {
      const auto from = embeddings.values.begin() + static_cast<ptrdiff_t>(r * embeddings.dimension + piece * length);
      to = std::copy(from, from + static_cast<ptrdiff_t>(length), to);
    }
  embeddings.values.erase(to, embeddings.values.end());
  embeddings.dimension = static_cast<int>(length * choice.pieces.size());
}

}  // namespace mpanet
