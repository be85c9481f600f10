// The memory of a step: arenas, tensors, buffers, and the tape, which frees memory during the backward pass.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <map>
#include <memory>
#include <thread>

#include "core/base/random.h"
#include "core/tensor.h"

namespace mpanet {
namespace {

constexpr size_t kUnit = Arena::kAlignment;

struct Memory {
  explicit Memory(size_t bytes) : bytes(bytes), base(std::aligned_alloc(kUnit, bytes), &std::free) {}
  char* data() const { return static_cast<char*>(base.get()); }
  size_t bytes;
  std::unique_ptr<void, decltype(&std::free)> base;
};

// A repeatable random sequence of requests and releases. Calls seen(address, bytes) at each request, and releases
// everything at the end.
template <class Seen>
void churn(Arena& arena, uint32_t index, const Seen& seen) {
  Random random(3, Purpose::Test, 20, index);
  std::vector<std::pair<char*, size_t>> live;
  for (int step = 0; step < 600; step++) {
    if (live.size() < 3 || random.below(100) < (step < 300 ? 55 : 45)) {
      const size_t bytes = random.below(4) == 0 ? random.below(100000) : random.below(2000);
      live.emplace_back(static_cast<char*>(arena.allocate(bytes)), bytes);
      seen(live.back().first, bytes);
    } else {
      const size_t at = random.below(static_cast<uint32_t>(live.size()));
      arena.release(live[at].first);
      live.erase(live.begin() + static_cast<std::ptrdiff_t>(at));
    }
  }
  for (const auto& [address, bytes] : live) arena.release(address);
}

std::vector<char*> addresses(Arena& arena, uint32_t index) {
  std::vector<char*> list;
  churn(arena, index, [&](char* address, size_t) { list.push_back(address); });
  return list;
}

TEST_CASE("what was planned fits, at the planned places, again and again") {
  for (uint32_t index = 0; index < 20; index++) {
    Arena plan(Arena::Mode::Plan);
    const std::vector<char*> planned = addresses(plan, index);
    CHECK(plan.used() == 0);
    const Memory memory(plan.peak());
    Arena slab(memory.data(), memory.bytes);
    for (int run = 0; run < 3; run++) {
      const std::vector<char*> got = addresses(slab, index);
      REQUIRE(got.size() == planned.size());
      bool same = true;
      for (size_t i = 0; i < got.size(); i++) same = same && got[i] - memory.data() == planned[i] - planned[0];
      CHECK(same);
      CHECK(slab.peak() == plan.peak());
      CHECK(slab.used() == 0);
    }
    Arena smaller(memory.data(), memory.bytes - kUnit);
    CHECK_THROWS_AS(addresses(smaller, index), CheckError);
  }
}

TEST_CASE("blocks in use never overlap and lie inside the slab") {
  const Memory memory(8 << 20);
  Arena slab(memory.data(), memory.bytes);
  Random random(3, Purpose::Test, 21, 0);
  std::map<char*, size_t> live;
  for (int step = 0; step < 3000; step++) {
    if (live.size() < 40 && random.below(2) == 0) {
      const size_t bytes = 1 + random.below(50000);
      auto* const address = static_cast<char*>(slab.allocate(bytes));
      REQUIRE(static_cast<size_t>(address - memory.data()) % kUnit == 0);
      REQUIRE(address + bytes <= memory.data() + memory.bytes);
      const auto after = live.lower_bound(address);
      if (after != live.end()) REQUIRE(address + bytes <= after->first);
      if (after != live.begin()) REQUIRE(std::prev(after)->first + std::prev(after)->second <= address);
      live[address] = bytes;
    } else if (!live.empty()) {
      const auto gone = std::next(live.begin(), random.below(static_cast<uint32_t>(live.size())));
      slab.release(gone->first);
      live.erase(gone);
    }
  }
}

TEST_CASE("released neighbours become one block, in any order") {
  std::vector<int> order = {0, 1, 2};
  do {
    const Memory memory(5 * kUnit);
    Arena slab(memory.data(), memory.bytes);
    char* block[5];
    for (char*& b : block) b = static_cast<char*>(slab.allocate(kUnit));
    for (const int i : order) slab.release(block[1 + i]);
    CHECK(slab.allocate(3 * kUnit) == block[1]);
    CHECK(slab.peak() == 5 * kUnit);
  } while (std::next_permutation(order.begin(), order.end()));
}

TEST_CASE("the smallest hole that fits is taken") {
  Arena plan(Arena::Mode::Plan);
  void* const wide = plan.allocate(4 * kUnit);
  plan.allocate(1);
  void* const narrow = plan.allocate(2 * kUnit);
  plan.allocate(1);
  plan.release(wide);
  plan.release(narrow);
  CHECK(plan.allocate(2 * kUnit) == narrow);
  CHECK(plan.allocate(kUnit) == wide);
  CHECK(plan.allocate(3 * kUnit) == static_cast<char*>(wide) + kUnit);
  CHECK(plan.peak() == 8 * kUnit);
}

TEST_CASE("a slab refuses one byte too many and stays usable") {
  const Memory memory(4 * kUnit);
  Arena slab(memory.data(), memory.bytes);
  void* const first = slab.allocate(3 * kUnit);
  CHECK_THROWS_AS(slab.allocate(kUnit + 1), CheckError);
  CHECK(slab.used() == 3 * kUnit);
  CHECK(slab.peak() == 3 * kUnit);
  void* const last = slab.allocate(kUnit);
  CHECK(last == static_cast<char*>(first) + 3 * kUnit);
  slab.release(first);
  slab.release(last);
  CHECK(slab.allocate(4 * kUnit) == first);
}

TEST_CASE("only what was handed out can be given back, once") {
  for (const Arena::Mode mode : {Arena::Mode::Plan, Arena::Mode::Loose}) {
    Arena arena(mode);
    auto* const block = static_cast<char*>(arena.allocate(100));
    CHECK_THROWS_AS(arena.release(block + kUnit), CheckError);
    arena.release(block);
    CHECK_THROWS_AS(arena.release(block), CheckError);
    CHECK(arena.used() == 0);
  }
}

TEST_CASE("empty requests have addresses of their own") {
  Arena arena(Arena::Mode::Plan);
  void *const a = arena.allocate(0), *const b = arena.allocate(0);
  CHECK(a != nullptr);
  CHECK(a != b);
}

TEST_CASE("loose memory counts what is in use; what is left goes with the arena") {
  Arena arena(Arena::Mode::Loose);
  void* const a = arena.allocate(kUnit);
  auto* const b = static_cast<char*>(arena.allocate(3 * kUnit - 5));
  std::fill_n(b, 3 * kUnit - 5, 'x');
  CHECK(reinterpret_cast<uintptr_t>(b) % kUnit == 0);
  CHECK(arena.used() == 4 * kUnit);
  arena.release(a);
  CHECK(arena.used() == 3 * kUnit);
  CHECK(arena.peak() == 4 * kUnit);
}

TEST_CASE("tensors give their memory back with the last handle, gradient included") {
  Context context(Backend::cpu);
  {
    const TensorOf<float> x(context, {2, 3}, true);
    TensorOf<float> copy = x;
    CHECK(copy.data() == x.data());
    CHECK(!x.has_grad());
    const auto [set, first] = x.grad_sink();
    CHECK(first == Write::Set);
    const auto [add, second] = copy.grad_sink();
    CHECK(second == Write::Add);
    CHECK(add == set);
    CHECK(context.arena().used() == 2 * kUnit);
    copy = {};
    CHECK(context.arena().used() == 2 * kUnit);
    x.release_grad();
    CHECK(!x.has_grad());
    CHECK(context.arena().used() == kUnit);
    x.from_host({1, 2, 3, 4, 5, 6});
    CHECK(x.to_host() == std::vector<float>{1, 2, 3, 4, 5, 6});
  }
  CHECK(context.arena().used() == 0);
}

TEST_CASE("a gradient's memory can change hands") {
  Context context(Backend::cpu);
  const TensorOf<float> y(context, {4}, true), x(context, {4}, true), other(context, {5}, true);
  float* const gradient = y.grad_sink().first;
  CHECK_THROWS_AS(y.give_grad_to(other), CheckError);
  y.give_grad_to(x);
  CHECK(!y.has_grad());
  CHECK(x.grad() == gradient);
  y.grad_sink();
  CHECK_THROWS_AS(y.give_grad_to(x), CheckError);
}

TEST_CASE("tensors refuse impossible shapes and values") {
  Context context(Backend::cpu);
  CHECK_THROWS_AS((TensorOf<float>(context, {2, 0})), CheckError);
  CHECK_THROWS_AS((TensorOf<float>(context, {2, -1})), CheckError);
  CHECK_THROWS_AS((TensorOf<float>(context, {1, 1, 1, 1, 1})), CheckError);
  CHECK_THROWS_AS((TensorOf<float>(context, {2}).from_host({1, 2, 3})), CheckError);
  CHECK(context.arena().used() == 0);
}

TEST_CASE("a planning context counts what a running one takes, and touches nothing") {
  const auto stream = std::make_shared<StreamHandle>(Backend::cpu);
  Context plan(Backend::cpu, stream, Arena::Mode::Plan), run(Backend::cpu, stream, 4096);
  for (Context* const context : {&plan, &run}) {
    Buffer buffer(*context, 1000);
    CHECK((buffer.as<char>() == nullptr) == context->planning());
    Buffer moved = std::move(buffer);
    CHECK(context->persistent_bytes() == 1000);
    const TensorOf<double> x(*context, {100}, true);
    x.from_host(std::vector<double>(100, 2));
    CHECK(x.to_host() == std::vector<double>(100, context->planning() ? 0 : 2));
  }
  CHECK(plan.persistent_bytes() == 0);
  CHECK(plan.arena().peak() == run.arena().peak());
}

TEST_CASE("a buffer that is made anew is told from the one before, though it has the same size") {
  Context context(Backend::cpu);
  Buffer buffer(context, 1000);
  const size_t bytes = context.persistent_bytes();
  const uint64_t made = context.buffers_made();
  Buffer moved = std::move(buffer);
  CHECK(context.buffers_made() == made);
  moved = Buffer(context, 1000);
  CHECK(context.persistent_bytes() == bytes);
  CHECK(context.buffers_made() != made);
}

TEST_CASE("laps are the seconds between moments, in order") {
  Context context(Backend::cpu);
  const auto sleep = [](int milliseconds) { std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds)); };
  context.mark();
  sleep(40);
  context.mark();
  sleep(10);
  context.mark();
  const std::vector<double> laps = context.take_laps();
  REQUIRE(laps.size() == 2);
  CHECK(laps[0] >= 0.04);
  CHECK(laps[1] >= 0.01);
  CHECK(context.take_laps().empty());
}

TEST_CASE("buffers start at zero") {
  Context context(Backend::cpu);
  const Buffer buffer(context, 5000);
  CHECK(std::all_of(buffer.as<char>(), buffer.as<char>() + 5000, [](char c) { return c == 0; }));
}

TEST_CASE("the tape runs backwards and drops each step before the next one runs") {
  Tape tape;
  std::vector<int> ran;
  std::vector<std::weak_ptr<int>> kept;
  for (int i = 0; i < 4; i++) {
    const auto memory = std::make_shared<int>(i);
    kept.push_back(memory);
    tape.record("step", [memory, &ran, &kept] {
      for (size_t later = static_cast<size_t>(*memory) + 1; later < kept.size(); later++) CHECK(kept[later].expired());
      ran.push_back(*memory);
    });
  }
  CHECK(tape.size() == 4);
  tape.backward();
  CHECK(ran == std::vector<int>{3, 2, 1, 0});
  CHECK(tape.size() == 0);
  CHECK(kept[0].expired());
}

TEST_CASE("work for the end of a backward pass runs once, after every step") {
  Tape tape;
  std::vector<int> ran;
  tape.record("first", [&] {
    ran.push_back(1);
    tape.record_end("end", [&] { ran.push_back(9); });
  });
  tape.record("second", [&] { ran.push_back(2); });
  tape.backward();
  CHECK(ran == std::vector<int>{2, 1, 9});
  tape.record("third", [&] { ran.push_back(3); });
  tape.backward();
  CHECK(ran == std::vector<int>{2, 1, 9, 3});
  tape.record_end("end", [] { throw CheckError("broken"); });
  CHECK_THROWS_WITH_AS(tape.backward(), "backward of end: broken", CheckError);
  tape.record_end("end", [&] { ran.push_back(4); });
  tape.clear();
  tape.backward();
  CHECK(ran.back() == 3);
}

TEST_CASE("a tape that an error stops holds nothing") {
  Context context(Backend::cpu);
  context.tape().record_end("end", [x = TensorOf<float>(context, {10})] {});
  for (int i = 0; i < 3; i++) {
    const TensorOf<float> x(context, {10});
    context.tape().record("step", [x, i] {
      if (i == 1) throw CheckError("broken");
    });
  }
  CHECK_THROWS_AS(context.tape().backward(), CheckError);
  CHECK(context.tape().size() == 0);
  CHECK(context.arena().used() == 0);
}

}  // namespace
}  // namespace mpanet
