// A folder of embeddings from any program. features.npy is (N, D) float32. images.csv has the header
// path,identity,camera,modality and one line per row of features.npy. The path is relative to the data set, the
// modality is "visible" or "infrared":
//
//   cam1/0006/0001.jpg,6,1,visible
#pragma once
#include <string>
#include <vector>

#include "mpanet/evaluation/similarity.h"

namespace mpanet {

// UserError unless write_features() could write there now. Creates nothing that stays.
void check_features_writable(const std::string& folder);

// Writes both files, a row per image, making the folder if it is missing. After an error the folder is as it was.
void write_features(const std::string& folder, const std::vector<ImageRecord>& images, const Embeddings& embeddings);

// The images' embeddings out of a folder whose rows may stand in any order; rows of others are left out. UserError, one
// line naming the file: another number of rows in the two files, a malformed line or header, a path given twice, a
// number that is not finite, an image missing, an identity, camera or modality that contradicts the data set's.
Embeddings read_features(const std::string& folder, const std::vector<ImageRecord>& images);

// images.csv with a line per image.
std::string images_text(const std::vector<ImageRecord>& images);

// What images.csv of a folder lists, in its order.
std::vector<ImageRecord> read_feature_images(const std::string& folder);

}  // namespace mpanet
