// Common last steps of all readers of data sets.
#pragma once
#include <string>
#include <vector>

#include "data/sets/dataset.h"

namespace mpanet {

// Gives the training images their labels: classes by ascending identity. Sets Dataset::classes.
void number_classes(Dataset& data);

// Sorts training and test images in Dataset's order.
void sort_images(Dataset& data);

// The following throw UserError, which begins with `source`. Training needs an image in each modality, and an identity
// that has both.
void require_training_pairs(const std::string& source, const std::vector<ImageRecord>& train);
// The test needs queries (without roles: infrared images), gallery images, and an identity that has both.
void require_test_pairs(const std::string& source, const std::vector<ImageRecord>& test);
// No identity may be in both parts, because it would put a training person into the test set. Either may be empty.
void require_disjoint(const std::string& source, const Dataset& data);

}  // namespace mpanet
