#include "mpanet/network/device_ranker.h"

#include <algorithm>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/base/error.h"
#include "core/context.h"
#include "kernels/kernels.h"

namespace mpanet::PRECISION {
namespace {

size_t bytes_of(int64_t count) { return sizeof(real) * static_cast<size_t>(count); }

// Bytes of the ranker's arrays. A block has always max_queries rows, so that one workspace fits all.
struct RankerBytes {
  RankerBytes(Context& context, const RankerGallery& gallery, int64_t queries)
      : gallery(bytes_of(int64_t{gallery.count} * gallery.dimension)),
        offsets(bytes_of(gallery.count)),
        queries(bytes_of(queries * gallery.dimension)),
        no_norms(bytes_of(queries)),
        distances(bytes_of(queries * gallery.count)),
        order(sizeof(int32_t) * static_cast<size_t>(queries * gallery.count)),
        workspace(std::max(ASK_BACKEND(context, gemm_workspace_bytes(context.stream(), false, true, queries,
                                                                     gallery.count, gallery.dimension)),
                           ASK_BACKEND(context, rank_workspace_bytes(queries, gallery.count)))) {}
  size_t all() const { return gallery + offsets + queries + no_norms + distances + order + workspace; }
  size_t gallery, offsets, queries, no_norms, distances, order, workspace;
};

class DeviceRanker final : public Ranker {
 public:
  DeviceRanker(std::unique_ptr<Context> context, const RankerGallery& gallery, int max_queries,
               const RankerBytes& bytes)
      : context_(std::move(context)),
        count_(gallery.count),
        dimension_(gallery.dimension),
        max_queries_(max_queries),
        gallery_(*context_, bytes.gallery),
        offsets_(*context_, bytes.offsets),
        queries_(*context_, bytes.queries),
        no_norms_(*context_, bytes.no_norms),
        distances_(*context_, bytes.distances),
        order_(*context_, bytes.order),
        workspace_(*context_, bytes.workspace) {
    send(gallery_, gallery.rows, int64_t{count_} * dimension_);
    send(offsets_, gallery.offsets, count_);
  }

  void rank(const float* queries, int count, int32_t* order) override {
    MPANET_CHECK(count >= 1 && count <= max_queries_, "expected 1..{} queries, got {}", max_queries_, count);
    send(queries_, queries, int64_t{count} * dimension_);
    const Stream stream = context_->stream();
    auto* distances = distances_.as<real>();
    void* workspace = workspace_.as<void>();
    RUN_ON(*context_, gemm(stream, false, true, max_queries_, count_, dimension_, queries_.as<real>(),
                           gallery_.as<real>(), nullptr, distances, Write::Set, workspace));
    // Without the queries' norms a distance is the offset minus the doubled product, whose doubling is exact.
    RUN_ON(*context_,
           squared_distances(stream, no_norms_.as<real>(), offsets_.as<real>(), max_queries_, count_, distances));
    RUN_ON(*context_, rank(stream, distances, max_queries_, count_, order_.as<int32_t>(), workspace));
    context_->to_host(order, order_.as<void>(), sizeof(int32_t) * static_cast<size_t>(count) * count_);
  }

 private:
  void send(const Buffer& to, const float* from, int64_t count) {
    if constexpr (std::is_same_v<real, float>) {
      context_->to_device(to.as<void>(), from, bytes_of(count));
    } else {
      const std::vector<real> wide(from, from + count);
      context_->to_device(to.as<void>(), wide.data(), bytes_of(count));
    }
  }

  const std::unique_ptr<Context> context_;  // of its own: no TF32, no vendor's products
  const int count_, dimension_, max_queries_;
  Buffer gallery_, offsets_, queries_, no_norms_, distances_, order_, workspace_;
};

}  // namespace

std::unique_ptr<Ranker> make_ranker(Device device, const RankerGallery& gallery, int max_queries, size_t* needed) {
  MPANET_CHECK(device.backend != Backend::cpu, "the cpu ranks by itself");
  MPANET_CHECK(gallery.count >= 1 && gallery.dimension >= 1 && max_queries >= 1, "expected rows, got {} x {} and {}",
               gallery.count, gallery.dimension, max_queries);
  auto context = std::make_unique<Context>(device);
  const RankerBytes bytes(*context, gallery, max_queries);
  *needed = bytes.all();
  if (device.backend == Backend::cuda && bytes.all() > context->memory_use().free) return nullptr;
  return std::make_unique<DeviceRanker>(std::move(context), gallery, max_queries, bytes);
}

}  // namespace mpanet::PRECISION
