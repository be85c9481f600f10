// The part of test_cuda_runtime that launches kernels of its own: order, capture, uploads, faults.
#include <doctest/doctest.h>

#include <cstring>
#include <vector>

#include "core/base/error.h"
#include "core/context.h"
#include "core/upload.h"
#include "kernels/cuda/allocator.h"
#include "kernels/cuda/runtime.h"
#include "tests/kernels/cuda_runtime.h"
#include "tests/kernels/cuda_runtime_kernels.h"
#include "tests/support/shell.h"

using namespace mpanet;

TEST_CASE("kept blocks go back to the device before memory is out") {
  const auto device = gpu();
  if (!device) return;
  Context context(*device);
  const size_t most = context.memory_use().free;
  cuda::Allocator allocator;
  void* const kept = allocator.allocate(most / 3 * 2, nullptr);
  REQUIRE(kept != nullptr);
  CHECK(allocator.allocate(most / 2, nullptr) == nullptr);
  allocator.release(kept);
  // The size differs from the kept block's, and both together exceed the memory.
  CHECK(allocator.allocate(most / 2, nullptr) != nullptr);
  CHECK(allocator.held() == allocator.in_use());
  CHECK(allocator.held() < most / 3 * 2);
  CHECK(allocator.peak() >= most / 3 * 2);
}

TEST_CASE("captured kernels run when they are replayed, in order with everything else") {
  const auto device = gpu();
  if (!device) return;
  Context context(*device);
  constexpr int kCount = 1000;
  const Buffer buffer(context, kCount * sizeof(int));
  const auto all = [&](uint32_t value) {
    return on_device(context, buffer.as<void>(), kCount) == std::vector<uint32_t>(kCount, value);
  };
  const CapturedWork work = context.capture([&] {
    launch_fill(context.stream(), buffer.as<int>(), kCount, 1, 3, 64);
    launch_fill(context.stream(), buffer.as<int>(), kCount, 2, 3, 64);
  });
  CHECK(all(0));
  context.replay(work);
  CHECK(all(2));
  launch_fill(context.stream(), buffer.as<int>(), kCount, 5, 3, 64);
  CHECK(all(5));
  context.replay(work);
  CHECK(all(2));
}

TEST_CASE("two uploads in turn bring every batch, though nobody waits for the device") {
  const auto device = gpu();
  if (!device) return;
  Context context(*device);
  constexpr int kCount = 10000, kBatches = 7;
  const Buffer seen(context, size_t{kBatches} * kCount * sizeof(int));
  Upload uploads[2] = {{context, kCount * sizeof(int)}, {context, kCount * sizeof(int)}};
  const auto send = [&](uint32_t batch) {
    const std::vector<uint32_t> values = numbers(kCount, batch);
    std::memcpy(uploads[batch % 2].host(), values.data(), bytes_of(values));
    uploads[batch % 2].start();
  };
  send(0);
  for (int batch = 0; batch < kBatches; batch++) {
    if (batch + 1 < kBatches) send(static_cast<uint32_t>(batch + 1));
    const Upload& upload = uploads[batch % 2];
    launch_copy(context.stream(), seen.as<int>() + batch * kCount, static_cast<int*>(upload.device()), kCount);
    upload.done();
  }
  for (int batch = 0; batch < kBatches; batch++)
    CHECK(on_device(context, seen.as<int>() + batch * kCount, kCount) == numbers(kCount, static_cast<uint32_t>(batch)));
}

TEST_CASE("an upload from two of the caller's buffers in turn brings every batch") {
  const auto device = gpu();
  if (!device) return;
  Context context(*device);
  constexpr int kCount = 10000, kBatches = 7;
  const Buffer seen(context, size_t{kBatches} * kCount * sizeof(int));
  Upload upload(context, kCount * sizeof(int));
  const HostBuffer buffers[2] = {{context, kCount * sizeof(int)}, {context, kCount * sizeof(int)}};
  for (int batch = 0; batch < kBatches; batch++) {
    // The copy before the last one is done: start() waited for it.
    const HostBuffer& buffer = buffers[batch % 2];
    const std::vector<uint32_t> values = numbers(kCount, static_cast<uint32_t>(batch));
    std::memcpy(buffer.as<void>(), values.data(), bytes_of(values));
    upload.start(buffer.memory(), buffer.bytes());
    launch_copy(context.stream(), seen.as<int>() + batch * kCount, static_cast<int*>(upload.device()), kCount);
    upload.done();
  }
  for (int batch = 0; batch < kBatches; batch++)
    CHECK(on_device(context, seen.as<int>() + batch * kCount, kCount) == numbers(kCount, static_cast<uint32_t>(batch)));
}

TEST_CASE("an upload that goes while it copies writes into nobody else's memory") {
  const auto device = gpu();
  if (!device) return;
  Context context(*device);
  constexpr int kCount = 100000;
  const HostBuffer host(context, kCount * sizeof(int));  // outlives the upload: its destructor would wait too
  std::memset(host.as<void>(), 0xee, host.bytes());
  const void* memory = nullptr;
  {
    const Buffer buffer(context, host.bytes());
    memory = buffer.as<void>();
    const auto upload = cuda::create_upload(context.stream());
    cuda::start_upload(context.stream(), *upload, buffer.as<void>(), host.as<void>(), host.bytes());
  }
  const Buffer next(context, kCount * sizeof(int));
  REQUIRE(next.as<void>() == memory);
  launch_fill(context.stream(), next.as<int>(), kCount, 7, 4, 64);
  CHECK(on_device(context, next.as<void>(), kCount) == std::vector<uint32_t>(kCount, 7));
}

TEST_CASE("whoever waits sleeps where processors are few") {
  CHECK(cuda::waits_asleep(1));
  CHECK(cuda::waits_asleep(2));
  CHECK(!cuda::waits_asleep(16));
  const auto device = gpu();
  if (!device) return;
  const Context context(*device);
  unsigned flags = 0;
  REQUIRE(cudaGetDeviceFlags(&flags) == cudaSuccess);
  // A runtime without a device has no flags.
  if ((flags & cudaDeviceScheduleMask) != 0) CHECK((flags & cudaDeviceScheduleBlockingSync) != 0);
}

TEST_CASE("a launch that the device refuses is named with its shape and sizes, and the stream goes on") {
  const auto device = gpu();
  if (!device) return;
  Context context(*device);
  const Buffer buffer(context, 100);
  const auto refused = [&](int blocks, int threads, size_t shared_bytes, const char* shape) {
    const auto launched = [&] {
      launch_fill(context.stream(), buffer.as<int>(), 25, 7, blocks, threads, shared_bytes);
    };
    CHECK_THROWS_WITH_AS(launched(), doctest::Contains("kernel fill_kernel"), CheckError);
    CHECK_THROWS_WITH_AS(launched(), doctest::Contains(shape), CheckError);
    CHECK_THROWS_WITH_AS(launched(), doctest::Contains("sizes [25, 7]"), CheckError);
  };
  refused(0, 64, 0, "grid (0, 1, 1), block (64, 1, 1), 0 bytes");
  refused(1, 2000, 0, "grid (1, 1, 1), block (2000, 1, 1), 0 bytes");
  refused(1, 64, 1 << 20, "1048576 bytes of shared memory");
  launch_fill(context.stream(), buffer.as<int>(), 25, 7, 1, 32, 64 << 10);  // needs cudaFuncSetAttribute
  CHECK(on_device(context, buffer.as<void>(), 25) == std::vector<uint32_t>(25, 7));
}

// A process cannot use the device after a fault. So the next test case runs this one in a process of its own.
TEST_CASE("what a fault is reported as" * doctest::skip()) {
  Context context(*gpu());
  const Buffer buffer(context, 100);
  launch_overrun(context.stream(), buffer.as<int>());
  launch_fill(context.stream(), buffer.as<int>(), 25, 7, 1, 32);
  CHECK_THROWS_WITH_AS(context.synchronize(), "", UserError);  // fails, and doctest prints the CheckError
}

TEST_CASE("a kernel's fault is reported where it shows, with the kernels that it may be of") {
  if (!gpu()) return;
  const Result result = run_program("test_cuda_runtime", "--no-skip --test-case='what a fault is reported as'");
  CHECK(result.code != 0);
  CHECK(has(result.out, "an illegal memory access was encountered"));
  // It is reported at the launch, at the next launch, or when the host waits, depending on the device's timing.
  const bool at_once = has(result.out, "kernel overrun_kernel with grid (1, 1, 1), block (1, 1, 1)");
  const bool next = has(result.out, "kernel fill_kernel with grid (1, 1, 1), block (32, 1, 1)") &&
                    has(result.out, "or that of an earlier one, the one before is overrun_kernel");
  const bool later = has(result.out,
                         "a kernel before this failed, the last one launched or an earlier one; the last "
                         "was fill_kernel");
  CHECK(at_once + next + later == 1);
}
