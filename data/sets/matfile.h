// The trial file of SYSU-MM01, exp/rand_perm_cam.mat (MATLAB v5; docs/method.md, section 4). It fixes which gallery
// images each of the ten trials draws, and lists how many images every camera has of every identity.
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
  // Images that the camera (1..6) has of an identity; 0 for one that it does not list.
  int count(int camera, int identity) const;
  // Trial 0..9's permutation of 1..count(camera, identity): the 1-based image number at place 0..count-1.
  int image(int trial, int camera, int identity, int place) const {
    const Cell& cell = cells_[camera - 1][identity - 1];
    return cell.numbers[static_cast<size_t>(trial) * cell.count + place];
  }

  // Gives the camera `identities` entries, all of them empty.
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

// ROOT/exp/rand_perm_cam.mat or ROOT/evaluation/data_split/rand_perm_cam.mat, the first that exists; `given`, if not
// empty, instead of both. UserError that says where the file is to be had when there is none.
std::string find_trial_file(const std::string& root, const std::string& given = "");
// Whether the data set keeps one in either place.
bool has_trial_file(const std::string& root);

// Reads and checks every cell: a matrix of any numeric class (10 x images, or empty) whose rows are permutations, or a
// cell that was never set. UserError (one line, with the path and the cell) for a file of another kind, a truncated
// one, anything unexpected.
TrialFile read_trial_file(const std::string& path);

// Whether this build reads and writes trial files (MPANET_ZLIB); the others answer with a UserError that says so.
bool trial_files_supported();

// Writes the same format: the variable rand_perm_cam, class double. The bytes depend on the content (and zlib) alone.
void write_trial_file(const std::string& path, const TrialFile& trials);

}  // namespace mpanet
