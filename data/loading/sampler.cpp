#include "data/loading/sampler.h"

#include <algorithm>

#include "core/base/error.h"
#include "core/base/random.h"
#include "core/base/text.h"

namespace mpanet {
namespace {

// Random stream of the order of identities. Streams 0..classes-1 belong to the labels.
constexpr uint32_t kOrderStream = 0xffffffffu;

// Number of pairs (infrared, visible) of an identity in an epoch (docs/method.md, section 3, step 1).
size_t pairs_of(size_t visible, size_t infrared, size_t half) {
  if (visible == 0 || infrared == 0) return 0;
  return visible < half && infrared < half ? half : std::min(visible, infrared);
}

std::vector<int> with_replacement(const std::vector<int>& items, size_t count, Random& random) {
  std::vector<int> drawn(count);
  for (int& item : drawn) item = items[random.below(static_cast<uint32_t>(items.size()))];
  return drawn;
}

// `count` of the items without replacement, in random order.
std::vector<int> without_replacement(std::vector<int> items, size_t count, Random& random) {
  random.shuffle(items);
  items.resize(count);
  return items;
}

}  // namespace

IdentitySampler::IdentitySampler(const std::vector<ImageRecord>& images, int p, int k, uint64_t seed)
    : p_(p), k_(k), seed_(seed) {
  if (p < 1) fail("p_size: expected at least 1 identity a batch, got {}", p);
  if (k < 2 || k % 2 != 0) fail("k_size: expected an even number of images an identity, at least 2, got {}", k);
  for (size_t i = 0; i < images.size(); i++) {
    const int label = images[i].label;
    MPANET_CHECK(label >= 0, "image {} has no label", images[i].path);
    if (label >= static_cast<int>(identities_.size())) identities_.resize(label + 1);
    auto& identity = identities_[label];
    (images[i].infrared ? identity.infrared : identity.visible).push_back(static_cast<int>(i));
  }
  const size_t half = k / 2;
  for (size_t label = 0; label < identities_.size(); label++)
    if (pairs_of(identities_[label].visible.size(), identities_[label].infrared.size(), half) < half)
      skipped_.push_back(static_cast<int>(label));
  const size_t usable = identities_.size() - skipped_.size();
  if (static_cast<size_t>(p) > usable)
    fail("p_size: expected at most {} a batch, as many as the data has with enough images for k_size {}, got {}",
         counted(usable, "identity", "identities"), k, p);
}

// The identity's groups, concatenated: a multiple of k indices, alternating infrared and visible.
std::vector<int> IdentitySampler::groups_of(const Identity& identity, uint32_t epoch, uint32_t label) const {
  const size_t half = k_ / 2;
  const size_t pairs = pairs_of(identity.visible.size(), identity.infrared.size(), half);
  if (pairs < half) return {};
  Random random(seed_, Purpose::Sampler, epoch, label);
  const bool few = identity.visible.size() < half && identity.infrared.size() < half;
  const auto draw = [&](const std::vector<int>& items) {
    return few ? with_replacement(items, pairs, random) : without_replacement(items, pairs, random);
  };
  const std::vector<int> infrared = draw(identity.infrared);
  const std::vector<int> visible = draw(identity.visible);
  std::vector<int> groups;
  for (size_t i = 0; i < pairs / half * half; i++) {
    groups.push_back(infrared[i]);
    groups.push_back(visible[i]);
  }
  return groups;
}

std::vector<std::vector<int>> IdentitySampler::epoch(uint32_t epoch) const {
  std::vector<std::vector<int>> groups;
  std::vector<size_t> left, taken(identities_.size());  // labels that have groups left; groups taken, by label
  for (size_t label = 0; label < identities_.size(); label++) {
    groups.push_back(groups_of(identities_[label], epoch, static_cast<uint32_t>(label)));
    if (!groups.back().empty()) left.push_back(label);
  }
  Random random(seed_, Purpose::Sampler, epoch, kOrderStream);
  std::vector<std::vector<int>> batches;
  while (left.size() >= static_cast<size_t>(p_)) {
    std::vector<int> batch;
    // The first p steps of a Fisher-Yates shuffle draw p identities; all sets and orders have the same probability.
    for (int i = 0; i < p_; i++) {
      std::swap(left[i], left[i + random.below(static_cast<uint32_t>(left.size()) - i)]);
      const size_t label = left[i];
      const auto begin = groups[label].begin() + static_cast<ptrdiff_t>(taken[label]++ * k_);
      batch.insert(batch.end(), begin, begin + k_);
    }
    batches.push_back(std::move(batch));
    std::erase_if(left, [&](size_t label) { return taken[label] * k_ == groups[label].size(); });
  }
  return batches;
}

}  // namespace mpanet
