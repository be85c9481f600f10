// What a network's input shows of a picture: the random decisions of one picture of a batch, as kernels read them.
#pragma once
#include <cstdint>

namespace mpanet {

// The picture's left and right are exchanged first, if `flip`. Row y and column x of the output are row y + top and
// column x + left of the result; outside of it they are padding. The rectangle, in the output, is erased last.
struct PictureCut {
  int32_t picture = 0;  // index among the pictures that the batch is made of
  int32_t flip = 0;     // 0 or 1
  int32_t top = 0, left = 0;
  int32_t erase_top = 0, erase_left = 0, erase_height = 0, erase_width = 0;  // height 0: nothing is erased
  bool operator==(const PictureCut&) const = default;
};

// An output is a value of a table (3 channels, kPictureCodes): of the picture's byte, of padding or of what was erased.
constexpr int kPaddingCode = 256, kErasedCode = 257, kPictureCodes = 258;

}  // namespace mpanet
