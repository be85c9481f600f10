// The trial file of SYSU-MM01, exp/rand_perm_cam.mat (MATLAB v5; docs/method.md, section 4). It defines the gallery
// images of each of the ten trials, and the number of images of every identity by every camera.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace mpanet {

constexpr int kSysuCameras = 6;
constexpr int kSysuTrials = 10;

class TrialFile {
 public:
  // Largest identity that the camera (1..6) lists; identities are 1..identities(camera).
  int identities(int camera) const { return static_cast<int>(cells_[camera - 1].size()); }
  // Number of images of an identity by a camera (1..6); 0 for an identity that the camera does not list.
  int count(int camera, int identity) const;
  // Element `index` (0..count-1) of a trial's (0..9) permutation of 1..count(camera, identity): a 1-based image number.
  int image(int trial, int camera, int identity, int index) const {
    const Cell& cell = cells_[camera - 1][identity - 1];
    return cell.numbers[static_cast<size_t>(trial) * cell.count + index];
  }

  // Gives the camera `identities` empty entries.
  void resize(int camera, int identities) { cells_[camera - 1].assign(identities, Cell{}); }
  // Sets an entry: numbers is (10, count), every row a permutation of 1..count.
  void set(int camera, int identity, int count, std::vector<int32_t> numbers);

 private:
  struct Cell {
    int count = 0;
    std::vector<int32_t> numbers;  // (10, count)
  };
  std::vector<std::vector<Cell>> cells_ = std::vector<std::vector<Cell>>(kSysuCameras);
};

// Where the file lies in the data set.
inline constexpr const char* kTrialFiles[] = {"exp/rand_perm_cam.mat", "evaluation/data_split/rand_perm_cam.mat"};
// Returns `given` if it is not empty, else the first of kTrialFiles that exists in the data set. UserError, which says
// where to get the file, when there is none.
std::string find_trial_file(const std::string& root, const std::string& given = "");
// Whether the data set has one of these two files.
bool has_trial_file(const std::string& root);

// Reads the file. Every cell must be a matrix of a numeric class (10 x images, or empty) whose rows are permutations,
// or never set. UserError, one line with the path and the cell, for a file of another kind, a truncated file and any
// other cell.
TrialFile read_trial_file(const std::string& path);

// Whether this build reads and writes trial files (MPANET_ZLIB). Without, reading and writing throw UserError.
bool trial_files_supported();

// Writes the file atomically. Its bytes depend only on the content and zlib's version. UserError if it cannot.
void write_trial_file(const std::string& path, const TrialFile& trials);

}  // namespace mpanet
