#include "data/pictures/decode_all.h"

#include <mutex>
#include <vector>

#include "core/base/error.h"
#include "core/base/progress.h"
#include "core/base/text.h"
#include "core/base/threads.h"

namespace mpanet {

void decode_all(size_t count, int threads, const std::function<std::string(size_t i)>& path,
                const std::function<void(size_t i, const Decoded& decoded)>& take) {
  if (threads == 0) threads = usable_processors();
  struct Scratch {
    ImageDecoder decoder;
    Image image;
  };
  std::vector<Scratch> scratch(static_cast<size_t>(threads));
  std::mutex mutex;  // guards `progress`
  Progress progress("decoding, " + counted(threads, "thread"), "images", count);
  parallel_for(threads, count, [&](size_t i, int thread) {
    auto& [decoder, image] = scratch[static_cast<size_t>(thread)];
    Decoded decoded{image, ""};
    try {
      decoder.decode(path(i), image);
    } catch (const UserError& e) {
      decoded.error = e.what();
    }
    take(i, decoded);
    const std::lock_guard lock(mutex);
    progress.advance();
  });
}

}  // namespace mpanet
