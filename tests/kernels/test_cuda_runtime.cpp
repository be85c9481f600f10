// The cuda backend's memory, copies and captured work on a device: a GPU, or a CUDA runtime library that executes PTX
// on the CPU. Without a device every case prints that it was skipped. A device that MPANET_TEST_DEVICE names and that
// cannot be used ends the program with exit code 2.
#include <doctest/doctest.h>

#include <cstring>
#include <functional>
#include <memory>
#include <vector>

#include "core/base/error.h"
#include "core/context.h"
#include "core/tensor.h"
#include "core/upload.h"
#include "mpanet/network/engine.h"
#include "tests/kernels/cuda_runtime.h"

using namespace mpanet;

TEST_CASE("copies of any size arrive, though their source changes at once") {
  const auto device = gpu();
  if (!device) return;
  Context context(*device);
  // 1 byte; a piece of the staging ring minus and plus one byte; more than the ring's size.
  for (const size_t bytes : {size_t{1}, (size_t{4} << 20) - 1, (size_t{4} << 20) + 1, size_t{70} << 20}) {
    const Buffer buffer(context, bytes + 1);
    std::vector<unsigned char> values(bytes);
    for (size_t i = 0; i < bytes; i++) values[i] = static_cast<unsigned char>(i * 31 + i / 251);
    const std::vector<unsigned char> sent = values;
    context.to_device(buffer.as<void>(), values.data(), bytes);
    std::fill(values.begin(), values.end(), 0xee);
    std::vector<unsigned char> got(bytes + 1, 0xdd);
    context.to_host(got.data(), buffer.as<void>(), bytes + 1);
    CHECK(std::equal(sent.begin(), sent.end(), got.begin()));
    CHECK(got[bytes] == 0);  // the byte after the copy keeps its initial zero
  }
}

TEST_CASE("many small copies go round the staging ring in order") {
  const auto device = gpu();
  if (!device) return;
  Context context(*device);
  constexpr size_t kCopies = 1000, kCount = 17000;  // 68 kB each: twice the ring's size in all
  const Buffer buffer(context, kCopies * sizeof(uint32_t)), last(context, kCount * sizeof(uint32_t));
  for (uint32_t i = 0; i < kCopies; i++) {
    std::vector<uint32_t> values = numbers(kCount, i);
    context.to_device(last.as<void>(), values.data(), bytes_of(values));
    context.to_device(buffer.as<uint32_t>() + i, values.data(), sizeof(uint32_t));
    std::fill(values.begin(), values.end(), 0);
  }
  CHECK(on_device(context, last.as<void>(), kCount) == numbers(kCount, kCopies - 1));
  const std::vector<uint32_t> firsts = on_device(context, buffer.as<void>(), kCopies);
  for (uint32_t i = 0; i < kCopies; i++) REQUIRE(firsts[i] == i);
}

TEST_CASE("memory is kept for the next of its size, counted, and zero at first each time") {
  const auto device = gpu();
  if (!device) return;
  Context context(*device);
  constexpr size_t kBytes = 1 << 20;
  void* first = nullptr;
  {
    const Buffer buffer(context, kBytes);
    first = buffer.as<void>();
    const std::vector<char> ones(kBytes, 1);
    context.to_device(first, ones.data(), kBytes);
    CHECK(context.memory_use().in_use == kBytes);
  }
  CHECK(context.memory_use().in_use == 0);
  CHECK(context.memory_use().held == kBytes);
  const Buffer again(context, kBytes - 100), larger(context, 2 * kBytes), small(context, 1);
  CHECK(again.as<void>() == first);
  CHECK(larger.as<void>() != first);
  CHECK(on_device(context, first, again.bytes() / 4) == std::vector<uint32_t>(again.bytes() / 4));
  const MemoryUse use = context.memory_use();
  CHECK(use.in_use == 3 * kBytes + 256);
  CHECK(use.peak == use.in_use);
  CHECK(use.held == use.in_use);
  CHECK(use.free < use.total);
}

TEST_CASE("large memory is taken to the byte") {
  const auto device = gpu();
  if (!device) return;
  constexpr size_t kSlab = (size_t{5} << 20) + 3 * Arena::kAlignment, kBuffer = (size_t{1} << 20) + 1;
  Context context(*device, std::make_shared<StreamHandle>(*device), kSlab);
  CHECK(context.memory_use().held == kSlab);
  const Buffer buffer(context, kBuffer);
  CHECK(context.memory_use().held == kSlab + kBuffer);
  CHECK(context.memory_use().in_use == kSlab + kBuffer);
}

TEST_CASE("an engine takes what its plan says") {
  const auto device = gpu();
  if (!device) return;
  EngineConfig config;
  config.model.depth = "tiny";
  config.model.classes = 400;
  config.model.height = 64;
  config.model.width = 32;
  config.device = *device;
  config.train_batch = config.embed_batch = 8;
  const std::unique_ptr<Engine> engine = make_engine(config);
  engine->initialize(1);
  Batch batch;
  batch.count = 8;
  batch.height = 64;
  batch.width = 32;
  batch.images.resize(size_t{8} * 3 * 64 * 32, 0.5F);
  for (int i = 0; i < 8; i++) {
    batch.labels.push_back(i / 4);
    batch.infrared.push_back(i % 2 == 0);
  }
  engine->step(batch, 1e-4, 1);
  std::vector<float> features(size_t{8} * static_cast<size_t>(engine->feature_size()));
  engine->embed(batch, features.data());
  // Small buffers are rounded up, by less than 64 KiB in all.
  const size_t held = engine->memory_use().held, planned = engine->plan().total();
  CHECK(held >= planned);
  CHECK(held < planned + (size_t{64} << 10));
}

TEST_CASE("out of memory says how much there is, and the stream goes on") {
  const auto device = gpu();
  if (!device) return;
  Context context(*device);
  const size_t most = context.memory_use().free;
  CHECK_THROWS_WITH_AS(Buffer(context, 2 * most), doctest::Contains("out of memory on cuda:"), UserError);
  CHECK_THROWS_WITH_AS(Buffer(context, 2 * most), doctest::Contains("GiB wanted"), UserError);
  const Buffer fine(context, 1000);
  CHECK(on_device(context, fine.as<void>(), 250) == std::vector<uint32_t>(250));
}

TEST_CASE("captured work runs when it is replayed, from what its buffers hold then") {
  const auto device = gpu();
  if (!device) return;
  Context context(*device);
  constexpr size_t kCount = 1000;
  const Buffer buffer(context, kCount * sizeof(uint32_t)), cleared(context, 4);
  const HostBuffer host(context, kCount * sizeof(uint32_t));
  const uint32_t one = 1;
  const CapturedWork work = context.capture([&] {
    host.send(context, buffer.as<void>(), host.bytes());
    context.zero(cleared.as<void>(), 4);
  });
  CHECK(on_device(context, buffer.as<void>(), kCount) == std::vector<uint32_t>(kCount));
  for (uint32_t round = 1; round <= 3; round++) {
    context.to_device(cleared.as<void>(), &one, 4);
    const std::vector<uint32_t> values = numbers(kCount, round);
    std::memcpy(host.as<void>(), values.data(), bytes_of(values));
    context.replay(work);
    CHECK(on_device(context, buffer.as<void>(), kCount) == values);
    CHECK(on_device(context, cleared.as<void>(), 1)[0] == 0);
  }
}

TEST_CASE("what cannot be captured is refused, and the stream goes on") {
  const auto device = gpu();
  if (!device) return;
  Context context(*device);
  const Buffer buffer(context, 64);
  std::vector<uint32_t> values = numbers(16, 5);
  const auto refused = [&](const char* what, const std::function<void()>& work) {
    CHECK_THROWS_WITH_AS(context.capture(work), doctest::Contains(what), CheckError);
  };
  refused("a synchronisation", [&] { context.synchronize(); });
  refused("a copy to the host", [&] { context.to_host(values.data(), buffer.as<void>(), 64); });
  refused("not pinned", [&] { context.to_device(buffer.as<void>(), values.data(), 64); });
  refused("an allocation of 77 bytes", [&] { Buffer(context, 77); });
  refused("a capture inside a capture", [&] { context.capture([] {}); });
  context.set_profiling(true);
  refused("while it times kernels", [] {});
  context.to_device(buffer.as<void>(), values.data(), 64);
  CHECK(on_device(context, buffer.as<void>(), 16) == values);
}

TEST_CASE("a capture that throws leaves neither a tape nor memory behind") {
  const auto device = gpu();
  if (!device) return;
  Context context(*device, std::make_shared<StreamHandle>(*device), size_t{64} << 10);
  const auto broken = [&] {
    const TensorOf<float> x(context, {10}, true);
    x.grad_sink();
    context.zero(x.data(), 40);
    context.tape().record("step", [x] {});
    throw CheckError("broken");
  };
  CHECK_THROWS_WITH_AS(context.capture(broken), "broken", CheckError);
  CHECK(context.tape().size() == 0);
  CHECK(context.arena().used() == 0);
}

TEST_CASE("host memory that goes while the device has yet to read it") {
  const auto device = gpu();
  if (!device) return;
  Context context(*device);
  constexpr size_t kCount = 100000;
  const Buffer buffer(context, kCount * sizeof(uint32_t));
  const std::vector<uint32_t> values = numbers(kCount, 9);
  {
    const HostBuffer host(context, kCount * sizeof(uint32_t));
    std::memcpy(host.as<void>(), values.data(), bytes_of(values));
    host.send(context, buffer.as<void>(), host.bytes());
  }
  CHECK(on_device(context, buffer.as<void>(), kCount) == values);
}

TEST_CASE("laps are the seconds between moments, in order") {
  const auto device = gpu();
  if (!device) return;
  Context context(*device);
  const Buffer buffer(context, 1000);
  context.mark();
  context.zero(buffer.as<void>(), buffer.bytes());
  context.mark();
  context.mark();
  const std::vector<double> laps = context.take_laps();
  REQUIRE(laps.size() == 2);
  for (const double lap : laps) CHECK(lap >= 0);
  CHECK(context.take_laps().empty());
}

TEST_CASE("loose memory on the device") {
  const auto device = gpu();
  if (!device) return;
  Context context(*device);
  void* const memory = context.arena().allocate(40);
  const std::vector<uint32_t> values = numbers(10, 3);
  context.to_device(memory, values.data(), 40);
  CHECK(on_device(context, memory, 10) == values);
  CHECK(context.memory_use().in_use == 0);  // a separate allocation does not count
  context.arena().release(memory);
}
