// The authors' identity sampler (docs/method.md, section 3).
#pragma once
#include <cstdint>
#include <vector>

#include "data/sets/dataset.h"

namespace mpanet {

class IdentitySampler : public Sampler {
 public:
  // Batches of p identities x k images. UserError when k is odd or p exceeds the identities that have both modalities
  // and enough images for a group of k.
  IdentitySampler(const std::vector<ImageRecord>& images, int p, int k, uint64_t seed);

  // A batch is p blocks of k images of one identity each, infrared and visible in turn, infrared first.
  std::vector<std::vector<int>> epoch(uint32_t epoch) const override;
  // Identities (labels, ascending) that never yield a full group and are never drawn.
  const std::vector<int>& skipped() const { return skipped_; }

 private:
  struct Identity {
    std::vector<int> visible, infrared;  // indices into the image list
  };
  std::vector<int> groups_of(const Identity& identity, uint32_t epoch, uint32_t label) const;

  std::vector<Identity> identities_;  // by label
  std::vector<int> skipped_;
  int p_, k_;
  uint64_t seed_;
};

}  // namespace mpanet
