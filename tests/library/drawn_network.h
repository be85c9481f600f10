// Drawn people and a small untrained network, made by the programs of a build or an installation.
#pragma once
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "data/sets/npy.h"
#include "tests/support/process.h"
#include "tests/support/temporary_folder.h"

class DrawnNetwork : public TemporaryFolder {
 public:
  // `programs`: their folder. The configuration is the shipped one of that name, which mpanet-train has to find.
  explicit DrawnNetwork(std::string programs) : programs_(std::move(programs)) {
    run("mpanet-data", {"synth", "--out", data(), "--ids", "4", "--test-ids", "3", "--images", "2"});
    run("mpanet-train", {"--config", "demo", "--set", "image_size=[48,24]", "p_size=2", "k_size=2", "num_parts=2",
                         "--data", data(), "--out", path() + "/run", "--max-steps", "0"});
  }
  std::string data() const { return path() + "/data"; }
  std::string checkpoint() const { return path() + "/run/last.safetensors"; }

  struct Features {
    std::vector<std::string> paths;
    mpanet::NpyFloats numbers;  // (pictures, dimension)
  };
  // What mpanet-eval writes for the test's pictures. The library's default on the CPU is a batch of one picture.
  Features features(const std::vector<std::string>& options = {"--batch", "1"}) const {
    const TemporaryFolder saved;
    std::vector<std::string> arguments = {"--checkpoint",    checkpoint(),     "--data",     data(),
                                          "--save-features", saved / "folder", "--protocol", "agw"};
    arguments.insert(arguments.end(), options.begin(), options.end());
    run("mpanet-eval", arguments);
    Features made;
    std::istringstream lines(mpanet::read_text(saved / "folder/images.csv"));
    std::string line;
    std::getline(lines, line);
    while (std::getline(lines, line)) made.paths.push_back(data() + "/" + line.substr(0, line.find(',')));
    made.numbers = mpanet::read_npy(saved / "folder/features.npy");
    return made;
  }

 private:
  void run(const std::string& program, std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), programs_ + "/" + program);
    Process process(arguments);
    const int code = process.wait();
    REQUIRE_MESSAGE(code == 0, process.err());
  }
  std::string programs_;
};
