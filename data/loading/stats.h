// What a data set consists of, as a table: identities and images by part, modality and camera, sizes of the pictures,
// and the batches that the identity sampler makes of it.
#pragma once
#include <string>

#include "data/sets/dataset.h"

namespace mpanet {

struct StatsOptions {
  int p_size = 16, k_size = 8;  // of a batch, for the number of batches
  int threads = 0;              // that decode; 0: one a core
};

// Decodes every picture for its size. UserError for one that cannot be decoded.
std::string dataset_stats(const Dataset& data, const StatsOptions& options);

}  // namespace mpanet
