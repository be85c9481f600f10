// A folder of embeddings from any program. features.npy is (N, D) float16, float32 or float64. images.csv
// (data/sets/csv.h) has the header path,identity,camera,modality and one row per row of features.npy. The path is
// relative to the data set, the modality is "visible" or "infrared":
//
//   cam1/0006/0001.jpg,6,1,visible
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "data/sets/npy.h"
#include "mpanet/evaluation/similarity.h"

namespace mpanet {

// The two files of a folder; none for an empty path.
std::vector<std::string> feature_files(const std::string& folder);

// UserError unless write_features() could write there now. Creates nothing that stays.
void check_features_writable(const std::string& folder);

// Writes both files, a row per image, making the folder if it is missing. After an error the folder is as it was.
void write_features(const std::string& folder, const std::vector<ImageRecord>& images, const Embeddings& embeddings);

// The rows of images.csv.
struct ListedImages {
  std::vector<ImageRecord> images;
  std::vector<uint32_t> lines;  // the line of each
};
// UserError, with the line's number, for a missing header and a malformed row; also the errors of read_csv().
ListedImages read_listed_images(const std::string& folder);

// A folder that is open for reading: images.csv in memory, features.npy (float16, float32 or float64, see
// data/sets/npy.h) on disk. UserError, one line naming the file, for another number of rows in the two files and a path
// given twice; also the errors of read_listed_images().
class FeatureFolder {
 public:
  explicit FeatureFolder(const std::string& folder);
  FeatureFolder(FeatureFolder&&) = delete;

  size_t rows() const { return listed_.images.size(); }
  int dimension() const { return static_cast<int>(numbers_.row_size()); }
  // The row of each image. UserError for a missing image, and for an identity, camera or modality that contradicts the
  // data set's.
  std::vector<size_t> rows_of(const std::vector<ImageRecord>& images) const;
  // Rows first..first + count - 1: (count, dimension). UserError for a number that is not finite.
  void read(size_t first, size_t count, float* out) const;

 private:
  std::string csv_;
  ListedImages listed_;
  NpyFile numbers_;
  std::unordered_map<std::string_view, size_t> rows_;
};

// The images' embeddings, a row each. Rows of the folder may be in any order; those of other images are ignored.
// UserError as above.
Embeddings read_features(const FeatureFolder& folder, const std::vector<ImageRecord>& images);

// images.csv with a line per image.
std::string images_text(const std::vector<ImageRecord>& images);

}  // namespace mpanet
