// Helpers for the tests of mpanet-eval: running the program, and a minimal folder that it evaluates.
#pragma once
#include <doctest/doctest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "core/base/file.h"
#include "data/pictures/image.h"
#include "data/sets/npy.h"
#include "data/sets/sysu.h"
#include "tests/support/shell.h"
#include "tests/support/temporary_folder.h"

// Tests that need these libraries are skipped in builds without them.
inline const bool kNoTrials = !mpanet::trial_files_supported();
inline const bool kNoPictures = kNoTrials || !mpanet::jpeg_supported() || !mpanet::png_supported();

inline Result run(const std::string& arguments) { return run_program("mpanet-eval", arguments); }

inline void check_refused(const std::string& arguments, const std::string& words) {
  CHECK(not_refused("mpanet-eval", arguments, words) == "");
}

// exp/ with two identities, 2 and 3, each with two images of cameras 1 (visible) and 3 (infrared), and their
// embeddings. Each identity has its own direction, but identity 3's second infrared image has the direction of identity
// 2.
class EvalFolder : public TemporaryFolder {
 public:
  EvalFolder() {
    std::filesystem::create_directories(data() + "/exp");
    std::filesystem::create_directory(features());
    mpanet::write_file(data() + "/exp/test_id.txt", "2,3\n");
    mpanet::TrialFile trials;
    for (int camera = 1; camera <= mpanet::kSysuCameras; camera++) trials.resize(camera, 3);
    std::vector<int32_t> numbers;
    for (int trial = 0; trial < mpanet::kSysuTrials; trial++)
      numbers.insert(numbers.end(), {1 + trial % 2, 2 - trial % 2});
    for (const int camera : {1, 3})
      for (const int identity : {2, 3}) trials.set(camera, identity, 2, numbers);
    mpanet::write_trial_file(trial_file(), trials);
    write();
  }
  std::string data() const { return path() + "/data"; }
  std::string trial_file() const { return data() + "/exp/rand_perm_cam.mat"; }
  std::string features() const { return path() + "/features"; }
  std::string csv() const { return features() + "/images.csv"; }
  std::string npy() const { return features() + "/features.npy"; }
  std::string arguments() const { return "--features '" + features() + "' --data '" + data() + "'"; }

  // Rows in no order, with one training image, which the protocol does not need.
  std::string lines =
      "path,identity,camera,modality\r\ncam3/0003/0002.jpg,3,3,infrared\r\n"
      "cam1/0002/0001.jpg,2,1,visible\r\ncam1/0001/0001.jpg,1,1,visible\r\ncam3/0002/0001.jpg,2,3,infrared\r\n"
      "cam1/0003/0002.jpg,3,1,visible\r\ncam1/0003/0001.jpg,3,1,visible\r\ncam3/0003/0001.jpg,3,3,infrared\r\n"
      "cam3/0002/0002.jpg,2,3,infrared\r\ncam1/0002/0002.jpg,2,1,visible\r\n";
  std::vector<float> numbers = {3, 1, 5, 0, 0, 0, 2, 1, 0, 1, 1, 2, 0, 3, 1, 0, 4, 1};  // (9, 2)
  void write(std::vector<int64_t> shape = {9, 2}) const {
    mpanet::write_file(csv(), lines);
    mpanet::OutputFile file(npy());
    mpanet::write_npy(file, shape, numbers.data());
    file.commit();
  }
};
