// The match sheet: a picture of some queries, each with the gallery images ranked first.
#pragma once
#include <string>

#include "core/base/file.h"
#include "mpanet/evaluation/ranking.h"

namespace mpanet {

// Writes a PNG with one row for each of up to ten queries, chosen at equal distances among those that have a match. A
// row shows the query and its first ten gallery images in trial 0 of the first setting, framed green (same identity) or
// red. Paths are relative to `root`. UserError when a picture cannot be read or the sheet cannot be written.
void write_match_sheet(OutputFile& file, const std::string& root, const EvaluationPlan& plan,
                       const Embeddings& embeddings);

}  // namespace mpanet
