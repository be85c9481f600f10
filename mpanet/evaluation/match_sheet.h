// The match sheet: a picture of some queries, each with the gallery images ranked first.
#pragma once
#include <string>

#include "core/base/file.h"
#include "mpanet/evaluation/ranking.h"

namespace mpanet {

// Writes a PNG with one row for each of up to ten queries, in trial 0 of the first setting: those with the lowest
// average precision (`worst`), or some at equal distances among those that have a match. A row shows the query and its
// first ten gallery images, framed green (same identity) or red, with identity/camera, rank and distance below; then
// the first right image if it ranks behind these. Paths are relative to `root`. UserError when a picture cannot be read
// or the sheet cannot be written.
void write_match_sheet(OutputFile& file, const std::string& root, const EvaluationPlan& plan,
                       const Embeddings& embeddings, bool worst);

}  // namespace mpanet
