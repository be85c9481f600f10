// Ranking and re-ranking that run out of memory end with an exception, whichever allocation fails and in whichever
// thread, and not with the program's end.
#include <doctest/doctest.h>

#include <atomic>
#include <cstdlib>
#include <limits>
#include <new>

#include "core/base/random.h"
#include "core/base/threads.h"
#include "mpanet/evaluation/ranking.h"

namespace {

std::atomic<int64_t> allocations_left = std::numeric_limits<int64_t>::max();

}  // namespace

// Not inlined: GCC would warn that memory of new goes to free().
[[gnu::noinline]] void* operator new(size_t bytes) {
  if (--allocations_left < 0) throw std::bad_alloc();
  if (void* memory = std::malloc(bytes != 0 ? bytes : 1)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, size_t) noexcept { std::free(memory); }

using namespace mpanet;

namespace {

struct Made {
  EvaluationPlan plan;
  Embeddings embeddings;
};

Made make(bool rerank) {
  constexpr int kQueries = 40, kGallery = 60, kDimension = 8;
  Made made;
  Random random(1, Purpose::Test, 0, 0);
  made.plan.settings = {{"all", "all"}};
  made.plan.trials = 2;
  made.plan.rerank = rerank;
  for (int i = 0; i < kQueries; i++) made.plan.queries.push_back({"q" + std::to_string(i), i % 5, 3, true, -1});
  for (int i = 0; i < kGallery; i++) {
    made.plan.gallery.push_back({"g" + std::to_string(i), i % 5, 1, false, -1});
    made.plan.drawn.push_back(3);
  }
  made.embeddings.dimension = kDimension;
  for (int i = 0; i < (kQueries + kGallery) * kDimension; i++)
    made.embeddings.values.push_back(static_cast<float>(random.normal()));
  return made;
}

// Whether the ranking ends well with this many allocations.
bool ranks(const Made& made, int64_t allocations) {
  try {
    allocations_left = allocations;
    const auto results = rank_embeddings(made.plan, made.embeddings);
    allocations_left = std::numeric_limits<int64_t>::max();
    return results.size() == 1;
  } catch (const std::exception&) {
    allocations_left = std::numeric_limits<int64_t>::max();
    return false;
  }
}

}  // namespace

TEST_CASE("an allocation that fails is an exception in the caller") {
  choose_threads(2);
  for (const bool rerank : {false, true}) {
    CAPTURE(rerank);
    const Made made = make(rerank);
    REQUIRE(ranks(made, std::numeric_limits<int64_t>::max()));
    int64_t enough = 0;
    while (!ranks(made, enough)) enough++;
    CHECK(enough > 10);
  }
}
