// Common parts of the files of test_cuda_runtime.
#pragma once
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/context.h"
#include "core/device.h"

// The GPU that MPANET_TEST_DEVICE names, or any GPU; nullopt if there is none. If the named one cannot be used, the
// program ends with exit code 2: it has found nothing wrong.
inline std::optional<mpanet::Device> gpu() {
  const char* name = std::getenv("MPANET_TEST_DEVICE");
  try {
    return mpanet::choose_device(name != nullptr ? name : "cuda");
  } catch (const mpanet::UserError& error) {
    const std::string text = error.what();
    if (name != nullptr) {
      fmt::print(stderr, "test_cuda_runtime: {}\n", text);
      std::exit(2);
    }
    MESSAGE("skipped: " << text);
    return {};
  }
}

inline std::vector<uint32_t> numbers(size_t count, uint32_t first) {
  std::vector<uint32_t> values(count);
  for (size_t i = 0; i < count; i++) values[i] = first + static_cast<uint32_t>(i) * 2654435761u;
  return values;
}

template <class T>
size_t bytes_of(const std::vector<T>& values) {
  return values.size() * sizeof(T);
}

inline std::vector<uint32_t> on_device(mpanet::Context& context, const void* memory, size_t count) {
  std::vector<uint32_t> values(count, 0xdeadbeef);
  context.to_host(values.data(), memory, count * sizeof(uint32_t));
  return values;
}
