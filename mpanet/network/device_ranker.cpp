#include "mpanet/network/device_ranker.h"

#include <algorithm>
#include <utility>

#include "core/base/error.h"
#include "kernels/embeddings.h"

namespace mpanet::PRECISION {
namespace {

template <class T>
size_t bytes_of(int64_t count) {
  return sizeof(T) * static_cast<size_t>(count);
}

// Bytes of the ranker's arrays. A block has always max_queries rows, so that one workspace fits all.
struct RankerBytes {
  RankerBytes(Context& context, int64_t images, int64_t d, int64_t queries)
      : gallery(bytes_of<real>(images * d)),
        offsets(bytes_of<real>(images)),
        queries(bytes_of<real>(queries * d)),
        no_norms(bytes_of<real>(queries)),
        distances(bytes_of<real>(queries * images)),
        order(bytes_of<int32_t>(queries * images)),
        rows(bytes_of<int32_t>(std::max(images, queries))),
        factors(bytes_of<double>(std::max(images, queries))),
        workspace(
            std::max(ASK_BACKEND(context, gemm_workspace_bytes(context.stream(), false, true, queries, images, d)),
                     ASK_BACKEND(context, rank_workspace_bytes(queries, images)))) {}
  size_t all() const { return gallery + offsets + queries + no_norms + distances + order + rows + factors + workspace; }
  size_t gallery, offsets, queries, no_norms, distances, order, rows, factors, workspace;
};

class DeviceRanker final : public Ranker {
 public:
  DeviceRanker(std::unique_ptr<Context> context, const DeviceRows& matrix, const RankerGallery& gallery,
               int max_queries, const RankerBytes& bytes)
      : context_(std::move(context)),
        matrix_(matrix),
        count_(static_cast<int>(gallery.rows.size())),
        max_queries_(max_queries),
        gallery_(*context_, bytes.gallery),
        offsets_(*context_, bytes.offsets),
        queries_(*context_, bytes.queries),
        no_norms_(*context_, bytes.no_norms),
        distances_(*context_, bytes.distances),
        order_(*context_, bytes.order),
        rows_(*context_, bytes.rows),
        factors_(*context_, bytes.factors),
        workspace_(*context_, bytes.workspace) {
    gather(gallery.rows.data(), gallery.factors.data(), count_, gallery_.as<real>());
    const std::vector<real> offsets(gallery.offsets.begin(), gallery.offsets.end());
    context_->to_device(offsets_.as<void>(), offsets.data(), bytes.offsets);
  }

  void rank(const int32_t* rows, const double* factors, int count, int32_t* order) override {
    MPANET_CHECK(count >= 1 && count <= max_queries_, "expected 1..{} queries, got {}", max_queries_, count);
    gather(rows, factors, count, queries_.as<real>());
    const Stream stream = context_->stream();
    auto* distances = distances_.as<real>();
    void* workspace = workspace_.as<void>();
    RUN_ON(*context_, gemm(stream, false, true, max_queries_, count_, matrix_.dimension(), queries_.as<real>(),
                           gallery_.as<real>(), nullptr, distances, Write::Set, workspace));
    // Without the queries' norms a distance is the offset minus the doubled product, whose doubling is exact.
    RUN_ON(*context_,
           squared_distances(stream, no_norms_.as<real>(), offsets_.as<real>(), max_queries_, count_, distances));
    RUN_ON(*context_, rank(stream, distances, max_queries_, count_, order_.as<int32_t>(), workspace));
    context_->to_host(order, order_.as<void>(), bytes_of<int32_t>(int64_t{count} * count_));
  }

 private:
  // to (count, dimension): rows of the matrix, scaled.
  void gather(const int32_t* rows, const double* factors, int count, real* to) {
    context_->to_device(rows_.as<void>(), rows, bytes_of<int32_t>(count));
    context_->to_device(factors_.as<void>(), factors, bytes_of<double>(count));
    RUN_ON(*context_, scale_rows(context_->stream(), matrix_.row(0), rows_.as<int32_t>(), factors_.as<double>(), count,
                                 matrix_.dimension(), to));
  }

  const std::unique_ptr<Context> context_;  // of its own: no TF32, no vendor's products
  const DeviceRows& matrix_;
  const int count_, max_queries_;
  Buffer gallery_, offsets_, queries_, no_norms_, distances_, order_, rows_, factors_, workspace_;
};

}  // namespace

std::unique_ptr<Ranker> make_ranker(const DeviceRows& matrix, const RankerGallery& gallery, int max_queries,
                                    size_t* needed) {
  const size_t count = gallery.rows.size();
  MPANET_CHECK(count >= 1 && gallery.factors.size() == count && gallery.offsets.size() == count && max_queries >= 1,
               "expected rows, factors and offsets of some images, got {}, {}, {}", count, gallery.factors.size(),
               gallery.offsets.size());
  const auto inside = [&](int32_t row) { return row >= 0 && static_cast<size_t>(row) < matrix.count(); };
  MPANET_CHECK(std::all_of(gallery.rows.begin(), gallery.rows.end(), inside), "expected rows 0..{}",
               matrix.count() - 1);
  auto context = std::make_unique<Context>(matrix.device());
  const RankerBytes bytes(*context, static_cast<int64_t>(count), matrix.dimension(), max_queries);
  *needed = bytes.all();
  if (matrix.device().backend == Backend::cuda && bytes.all() > context->memory_use().free) return nullptr;
  return std::make_unique<DeviceRanker>(std::move(context), matrix, gallery, max_queries, bytes);
}

size_t ranker_bytes(Device device, size_t gallery, int dimension, int max_queries) {
  Context context(device);
  return RankerBytes(context, static_cast<int64_t>(gallery), dimension, max_queries).all();
}

std::vector<double> squares_on_device(const DeviceRows& matrix) {
  Context context(matrix.device());
  std::vector<double> squares(matrix.count());
  if (squares.empty()) return squares;
  const Buffer buffer(context, squares.size() * sizeof(double));
  RUN_ON(context, squared_lengths(context.stream(), matrix.row(0), static_cast<int64_t>(squares.size()),
                                  matrix.dimension(), buffer.as<double>()));
  context.to_host(squares.data(), buffer.as<void>(), buffer.bytes());
  return squares;
}

}  // namespace mpanet::PRECISION
