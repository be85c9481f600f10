// What all readers of data sets do after they have listed the images.
#pragma once
#include <string>
#include <vector>

#include "data/sets/dataset.h"

namespace mpanet {

// Gives the training images their labels: classes by ascending identity. Sets Dataset::classes.
void number_classes(Dataset& data);

// Sorts training and test as Dataset says.
void sort_images(Dataset& data);

// UserErrors that begin with `source`. Training: an image in each modality, and an identity that has both.
void require_training_pairs(const std::string& source, const std::vector<ImageRecord>& train);
// Test: queries (without a role: infrared images), gallery images, and an identity that is in both.
void require_test_pairs(const std::string& source, const std::vector<ImageRecord>& test);
// No identity is in both parts: it would leak training people into the test. Either may be empty.
void require_disjoint(const std::string& source, const Dataset& data);

}  // namespace mpanet
