// The results of the paper (docs/method.md, "What the authors published").
#pragma once
#include <optional>
#include <string_view>

#include "mpanet/evaluation/plan.h"

namespace mpanet {

struct Published {
  double rank1 = 0, mAP = 0;  // percent
};

// nullopt for a protocol that the paper has no numbers of, and for another number of queries than SYSU-MM01 and RegDB
// have: a data set in their layout is not theirs.
std::optional<Published> published(std::string_view protocol, std::string_view direction, const Setting& setting,
                                   int queries);

}  // namespace mpanet
