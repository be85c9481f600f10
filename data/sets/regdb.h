// RegDB on disk (docs/method.md, section 4): lists idx/{train,test}_{visible,thermal}_T.txt of the split T = 1..10 with
// lines "relative/path label", pictures Visible/<identity>/*.bmp and Thermal/<identity>/*.bmp.
#pragma once
#include <string>

#include "data/sets/dataset.h"

namespace mpanet {

// The evaluation's camera numbers.
constexpr int kRegDbVisibleCamera = 2, kRegDbThermalCamera = 3;

// idx/train_visible_1.txt
std::string regdb_list(bool train, bool infrared, int split);
// Whether a list of the split exists.
bool has_regdb_lists(const std::string& root, int split);

// The identity is the number in the name of the picture's folder; classes are by ascending identity. The lists' labels
// are not used but checked: within training and within the test a label must belong to one identity. UserError, with
// the line's number, also for a picture in the other modality's folder and for a picture in two lists.
Dataset read_regdb(const std::string& root, Split split, int regdb_split);

}  // namespace mpanet
