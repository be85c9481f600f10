// The authors' identity sampler (docs/method.md, section 3).
#pragma once
#include <cstdint>
#include <vector>

#include "data/sets/dataset.h"

namespace mpanet {

class IdentitySampler : public Sampler {
 public:
  // Batches of p identities x k images. UserError when k is odd, or when fewer than p identities have both modalities
  // and enough images for a group of k.
  IdentitySampler(const std::vector<ImageRecord>& images, int p, int k, uint64_t seed);

  // A batch is p blocks. A block has k images of one identity: infrared, visible, infrared, visible, ...
  std::vector<std::vector<int>> epoch(uint32_t epoch) const override;
  // Labels, ascending, of the identities that have too few images for a group and are never drawn.
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
