// A picture of what an evaluation finds: some queries, each with the gallery images ranked first.
#pragma once
#include <string>

#include "core/base/file.h"
#include "mpanet/evaluation/ranking.h"

namespace mpanet {

// PNG with up to ten queries in rows, spread evenly over those that have a right image, and their first ten gallery
// images in the first setting's trial 0: framed green where right, red where wrong. Pictures come from `root`.
// UserError when one cannot be read or the sheet cannot be written.
void write_match_sheet(OutputFile& file, const std::string& root, const EvaluationPlan& plan,
                       const Embeddings& embeddings);

}  // namespace mpanet
