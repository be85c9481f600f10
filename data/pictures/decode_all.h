// Decodes many pictures, on several threads.
#pragma once
#include <cstddef>
#include <functional>
#include <string>

#include "data/pictures/image.h"

namespace mpanet {

// A decoded picture, or why it is none.
struct Decoded {
  const Image& image;
  std::string error;  // empty: `image` is the picture
};

// Calls take(i, decoded) for every i < count with the picture at path(i), on `threads` threads (0:
// usable_processors()), and shows progress. Calls of take() with different i may run at the same time; its exceptions
// end the loop.
void decode_all(size_t count, int threads, const std::function<std::string(size_t i)>& path,
                const std::function<void(size_t i, const Decoded& decoded)>& take);

}  // namespace mpanet
