// The choice of the network's features (docs/method.md, section 1): the BN neck's output or its input, with all pattern
// maps and the global mean or with some of them.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "mpanet/evaluation/similarity.h"
#include "mpanet/network/engine.h"

namespace mpanet {

struct FeatureChoice {
  bool before_neck = false;
  std::vector<int> pieces;  // in the feature's order: 0.. for pattern maps, `parts` for the global mean; empty: all
};

// `feature`: "bn" or "before-bn". `pieces`: "all", or a list such as "1,3,global", pattern maps numbered from 1.
// UserError for anything else, a piece given twice, and a number above the network's parts.
FeatureChoice parse_feature(std::string_view feature, std::string_view pieces, int parts);

// "BN neck output", "BN neck input, parts 1, 3 and global".
std::string describe(const FeatureChoice& choice, int parts);

// Makes the engine's BN neck the identity (except for the rounding of one multiplication) by a change of its parameters
// and statistics.
void bypass_neck(EngineState& engine);

// Keeps the chosen pieces of every row. A row has parts + 1 pieces of equal length.
void keep_pieces(const FeatureChoice& choice, int parts, Embeddings& embeddings);

}  // namespace mpanet
