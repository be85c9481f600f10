// A folder of embeddings from any program. features.npy is (N, D) float32. images.csv has the header
// path,identity,camera,modality and one line per row of features.npy. The path is relative to the data set, the
// modality is "visible" or "infrared":
//
//   cam1/0006/0001.jpg,6,1,visible
#pragma once
#include <string>

#include "mpanet/evaluation/ranking.h"

namespace mpanet {

// UserError unless write_features() could write there now. Creates nothing that stays.
void check_features_writable(const std::string& folder);

// Writes both files: queries first, then the gallery. Creates a missing folder. After an error (UserError) the folder
// is as it was.
void write_features(const std::string& folder, const EvaluationPlan& plan, const Embeddings& embeddings);

// Reads the plan's embeddings. Rows may be in any order, and rows that the plan does not need are ignored. UserError,
// one line naming the file, for: row counts of the two files that differ, a malformed header or line, a path given
// twice, a number that is not finite, a missing image of the plan, and an identity, camera or modality that contradicts
// the data set.
Embeddings read_features(const std::string& folder, const EvaluationPlan& plan);

}  // namespace mpanet
