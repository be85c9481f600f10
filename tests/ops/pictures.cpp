// The network's input from bytes. No backward pass.
#include "kernels/kernels.h"
#include "tests/ops/op_case.h"

namespace mpanet::PRECISION {
namespace {

// A batch of shape (n, h, w, 3), made of n + 1 pictures. Crops reach up to 5 pixels beyond each edge.
OpCase augment_pictures_case(const Shape& shape) {
  const auto make = [=](Inputs& in) -> Call {
    const int n = static_cast<int>(shape[0]), h = static_cast<int>(shape[1]), w = static_cast<int>(shape[2]);
    const int64_t picture = shape.count() / n;
    Random random(1, Purpose::Test, 0, 0);
    const auto below = [&](int bound) { return static_cast<int32_t>(random.below(static_cast<uint32_t>(bound))); };
    std::vector<uint8_t> bytes(static_cast<size_t>(picture * (n + 1)));
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(below(256));
    const auto cuts = std::make_shared<TensorOf<PictureCut>>(in.context(), Shape{n});
    std::vector<PictureCut> drawn;
    for (int i = 0; i < n; i++) {
      PictureCut cut{below(n + 1), below(2), below(11) - 5, below(11) - 5};
      if (i % 2 == 0) {
        cut.erase_height = below(h), cut.erase_width = below(w);
        cut.erase_top = below(h - cut.erase_height + 1), cut.erase_left = below(w - cut.erase_width + 1);
      }
      drawn.push_back(cut);
    }
    cuts->from_host(drawn);
    const FlagTensor pixels = in.flags(bytes);
    const Tensor values = in.activation("", {3, kPictureCodes}, {}, false);
    return [=, &context = in.context()] {
      const Tensor y(context, shape);
      RUN_ON(context,
             augment_pictures(context.stream(), pixels.data(), cuts->data(), values.data(), n, h, w, y.data()));
      return Outputs{{y}, {}};
    };
  };
  return without_backward(
      {"augment_pictures", text(shape), make, {(1 + kStorageBytes) * static_cast<double>(shape.count())}});
}

// Rows of whole packs and of single elements; pictures of one block and of more, a thread's loop of one step and of
// more.
Cases checks() {
  Cases cases;
  for (const Shape& shape :
       {Shape{1, 1, 1, 3}, Shape{3, 7, 5, 3}, Shape{2, 9, 8, 3}, Shape{2, 96, 64, 3}, Shape{1, 97, 61, 3}})
    cases.push_back(augment_pictures_case(shape));
  return cases;
}

Cases benchmarks(const NetworkSizes& z) { return {augment_pictures_case({z.batch, z.height, z.width, 3})}; }

const OpRegistration registration("pictures", checks, benchmarks);

}  // namespace
}  // namespace mpanet::PRECISION
