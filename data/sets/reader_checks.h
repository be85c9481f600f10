// Common last steps of all readers of data sets.
#pragma once
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "data/sets/dataset.h"

namespace mpanet {

// Gives the training images their labels: classes by ascending identity. Sets Dataset::classes.
void number_classes(Dataset& data);

// Sorts training and test images in Dataset's order.
void sort_images(Dataset& data);

// The number that the picture's folder is named after, at most 999,999; nullopt for another name.
std::optional<int> folder_number(const std::string& path);

// Checks the labels of training or test lists: one label stands for one identity.
class LabelPairs {
 public:
  // UserError, which begins with `where`, if the identity had another label before, or the label another identity.
  void check(int identity, int label, const std::string& where);

 private:
  std::unordered_map<int, int> labels_, identities_;
};

// The following throw UserError, which begins with `source`. Training needs an image in each modality, and an identity
// that has both.
void require_training_pairs(const std::string& source, const std::vector<ImageRecord>& train);
// The test needs queries (without roles: infrared images), gallery images, and an identity that has both.
void require_test_pairs(const std::string& source, const std::vector<ImageRecord>& test);
// No identity may be in both parts, because it would put a training person into the test set. Either may be empty.
void require_disjoint(const std::string& source, const Dataset& data);

}  // namespace mpanet
