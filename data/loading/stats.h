// Statistics of a data set as a table: identities and images by part, modality and camera, sizes of the pictures, and
// the number of batches of the identity sampler.
#pragma once
#include <string>

#include "data/sets/dataset.h"

namespace mpanet {

struct StatsOptions {
  int p_size = 16, k_size = 8;  // of a batch, for the number of batches
  int threads = 0;              // for decoding; 0: one per core
};

// Decodes every picture to get its size. UserError for a picture that cannot be decoded.
std::string dataset_stats(const Dataset& data, const StatsOptions& options);

}  // namespace mpanet
