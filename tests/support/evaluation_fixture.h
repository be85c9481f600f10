// Trial file and embeddings of the evaluation fixtures, as their "about" describes them.
#pragma once
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>
#include <string>
#include <vector>

#include "core/base/file.h"
#include "data/sets/matfile.h"
#include "mpanet/evaluation/protocol.h"
#include "mpanet/evaluation/ranking.h"
#include "tests/support/reference_fill.h"

inline nlohmann::json evaluation_fixture(const char* name) {
  return nlohmann::json::parse(mpanet::read_text(std::string(TEST_FIXTURES "/") + name));
}

// The embeddings that a fixture's "about" describes.
inline mpanet::Embeddings made_up_embeddings(const mpanet::EvaluationPlan& plan, const nlohmann::json& data) {
  mpanet::Embeddings embeddings;
  const int dimension = embeddings.dimension = data["dimension"];
  std::map<std::string, std::vector<double>> parts;
  const auto part = [&](const std::string& name) -> const std::vector<double>& {
    auto& values = parts[name];
    if (values.empty()) values = mpanet::reference::uniform(name, dimension);
    return values;
  };
  for (const auto* list : {&plan.queries, &plan.gallery})
    for (const mpanet::ImageRecord& image : *list) {
      const int number = std::stoi(image.path.substr(image.path.rfind('/') + 1));
      const auto& identity = part(fmt::format("id.{}", image.identity));
      const auto& camera = part(fmt::format("camera.{}", image.camera));
      const auto noise =
          mpanet::reference::uniform(fmt::format("image.{}.{}.{}", image.camera, image.identity, number), dimension);
      for (int d = 0; d < dimension; d++)
        embeddings.values.push_back(
            static_cast<float>(identity[d] + 0.5 * camera[d] + data["noise"].get<double>() * noise[d]));
    }
  return embeddings;
}

inline mpanet::TrialFile small_trials(const nlohmann::json& data) {
  mpanet::TrialFile trials;
  for (int camera = 1; camera <= mpanet::kSysuCameras; camera++) {
    trials.resize(camera, data["max_id"]);
    for (const auto& [key, value] : data["counts"][std::to_string(camera)].items()) {
      const int count = value;
      std::vector<int32_t> numbers;
      for (int trial = 0; trial < mpanet::kSysuTrials && count > 0; trial++) {
        const auto random = mpanet::reference::uniform(fmt::format("perm.{}.{}.{}", camera, key, trial), count);
        std::vector<int32_t> order(count);
        std::iota(order.begin(), order.end(), 0);
        std::sort(order.begin(), order.end(), [&](int a, int b) { return random[a] < random[b]; });
        for (const int index : order) numbers.push_back(index + 1);
      }
      trials.set(camera, std::stoi(key), count, numbers);
    }
  }
  return trials;
}
