// The identity sampler against docs/method.md, section 3, counted by hand.
#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <set>

#include "core/base/error.h"
#include "data/loading/sampler.h"
#include "tests/support/temporary_folder.h"

using namespace mpanet;

namespace {

// Each pair is one identity: numbers of visible and infrared images. Labels ascend.
std::vector<ImageRecord> people(const std::vector<std::pair<int, int>>& counts) {
  std::vector<ImageRecord> images;
  for (size_t label = 0; label < counts.size(); label++) {
    for (int i = 0; i < counts[label].first; i++) images.push_back({"", 0, 1, false, static_cast<int>(label)});
    for (int i = 0; i < counts[label].second; i++) images.push_back({"", 0, 3, true, static_cast<int>(label)});
  }
  return images;
}

std::string refusal(const std::vector<ImageRecord>& images, int p, int k) {
  const std::string message = error_of([&] { IdentitySampler(images, p, k, 1); });
  CHECK(message.find('\n') == message.npos);
  return message;
}

}  // namespace

TEST_CASE("a batch is p blocks of k images of one identity, infrared and visible in turn") {
  const auto images = people({{9, 7}, {12, 5}, {6, 30}, {8, 8}, {4, 4}});
  const IdentitySampler sampler(images, 3, 4, 7);
  CHECK(sampler.skipped().empty());
  for (uint32_t epoch = 1; epoch <= 20; epoch++)
    for (const auto& batch : sampler.epoch(epoch)) {
      REQUIRE(batch.size() == 12);
      std::set<int> labels;
      for (size_t i = 0; i < batch.size(); i++) {
        const auto& image = images[static_cast<size_t>(batch[i])];
        CHECK(image.infrared == (i % 2 == 0));
        CHECK(image.label == images[static_cast<size_t>(batch[i / 4 * 4])].label);
        labels.insert(image.label);
      }
      CHECK(labels.size() == 3);
    }
}

TEST_CASE("the number of batches and of uses of each image") {
  // Pairs min(visible, infrared): 7, 5, 6, 8, 4; groups of two pairs: 3, 2, 3, 4, 2. With one identity per batch an
  // epoch has all 14 groups, and no image twice.
  const auto images = people({{9, 7}, {12, 5}, {6, 30}, {8, 8}, {4, 4}});
  const IdentitySampler one(images, 1, 4, 3);
  for (uint32_t epoch = 1; epoch <= 5; epoch++) {
    const auto batches = one.epoch(epoch);
    CHECK(batches.size() == 14);
    std::map<int, int> groups, uses;
    for (const auto& batch : batches) {
      groups[images[static_cast<size_t>(batch[0])].label]++;
      for (int i : batch) uses[i]++;
    }
    CHECK(groups == std::map<int, int>{{0, 3}, {1, 2}, {2, 3}, {3, 4}, {4, 2}});
    for (const auto& [image, count] : uses) CHECK(count == 1);
  }
  // All five in each batch: the identity with the fewest groups ends the epoch.
  CHECK(IdentitySampler(images, 5, 4, 3).epoch(1).size() == 2);
  // Four of five: after two batches at least four identities have groups left; computed by hand, there are 2 or 3
  // batches.
  const size_t four = IdentitySampler(images, 4, 4, 3).epoch(1).size();
  CHECK(four >= 2);
  CHECK(four <= 3);
}

TEST_CASE("both modalities shorter than k/2: drawn with replacement; one shorter: no group, skipped") {
  // k/2 = 4. {2, 3}: both short, one group of 4 pairs. {3, 9}: 3 pairs, no group. {0, 2}, {5, 0}: no pairs.
  const auto images = people({{2, 3}, {3, 9}, {0, 2}, {5, 0}, {4, 4}, {1, 1}});
  const IdentitySampler sampler(images, 1, 8, 11);
  CHECK(sampler.skipped() == std::vector<int>{1, 2, 3});
  std::map<int, std::set<int>> seen;
  for (uint32_t epoch = 1; epoch <= 50; epoch++) {
    std::multiset<int> labels;
    for (const auto& batch : sampler.epoch(epoch)) {
      labels.insert(images[static_cast<size_t>(batch[0])].label);
      for (int i : batch) seen[images[static_cast<size_t>(batch[0])].label].insert(i);
    }
    CHECK(labels == std::multiset<int>{0, 4, 5});
  }
  CHECK(seen[0].size() == 5);  // 50 epochs draw every image of the first (probability of a miss below 1e-15)
  CHECK(seen[5].size() == 2);
}

TEST_CASE("all images, pairings and orders are equally likely") {
  // One identity, 4 visible, 2 infrared, k = 2: two batches of one pair. In 6000 epochs each of the 8 pairs is drawn
  // 6000 * 2 / 8 = 1500 times (standard deviation below 40), and is first 750 times (below 30).
  const auto images = people({{4, 2}});
  const IdentitySampler sampler(images, 1, 2, 5);
  std::map<std::pair<int, int>, int> pairs, first;
  for (uint32_t epoch = 1; epoch <= 6000; epoch++) {
    const auto batches = sampler.epoch(epoch);
    REQUIRE(batches.size() == 2);
    first[{batches[0][0], batches[0][1]}]++;
    for (const auto& batch : batches) pairs[{batch[0], batch[1]}]++;
  }
  CHECK(pairs.size() == 8);
  for (const auto& [pair, count] : pairs) CHECK(std::abs(count - 1500) < 200);
  for (const auto& [pair, count] : first) CHECK(std::abs(count - 750) < 150);

  // The first two of four identities: each of the 12 orders 6000 / 12 = 500 times, standard deviation below 22.
  const auto four = people({{1, 1}, {1, 1}, {1, 1}, {1, 1}});
  const IdentitySampler two(four, 2, 2, 9);
  std::map<std::pair<int, int>, int> orders;
  for (uint32_t epoch = 1; epoch <= 6000; epoch++) {
    const auto batch = two.epoch(epoch).at(0);
    orders[{four[static_cast<size_t>(batch[0])].label, four[static_cast<size_t>(batch[2])].label}]++;
  }
  CHECK(orders.size() == 12);
  for (const auto& [order, count] : orders) CHECK(std::abs(count - 500) < 110);
}

TEST_CASE("an epoch depends on seed and epoch alone") {
  const auto images = people(std::vector<std::pair<int, int>>(20, {9, 9}));
  const IdentitySampler sampler(images, 4, 4, 7);
  const auto third = sampler.epoch(3);
  CHECK(IdentitySampler(images, 4, 4, 7).epoch(3) == third);
  CHECK(sampler.epoch(3) == third);
  CHECK(sampler.epoch(4) != third);
  CHECK(IdentitySampler(images, 4, 4, 8).epoch(3) != third);
}

TEST_CASE("refused: more identities than there are, odd groups") {
  const auto images = people({{4, 4}, {4, 4}, {3, 9}});
  CHECK(refusal(images, 2, 8).empty());
  CHECK(refusal(images, 3, 8).find("expected at most 2 identities a batch") != std::string::npos);
  CHECK(refusal(images, 3, 6).empty());
  CHECK(refusal(images, 4, 2).find("expected at most 3 identities a batch") != std::string::npos);
  CHECK(refusal(images, 2, 3).find("k_size: expected an even number") == 0);
  CHECK(refusal(images, 2, 0).find("k_size") == 0);
  CHECK(refusal(images, 0, 2).find("p_size") == 0);
  CHECK(refusal({}, 1, 2).find("expected at most 0") != std::string::npos);
}
