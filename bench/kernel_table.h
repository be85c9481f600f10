// What the files of the kernel table share: inputs in an engine's types, and how a benchmark's call is written.
#pragma once
#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "bench/kernel_bench.h"
#include "kernels/kernels.h"

namespace mpanet::PRECISION {

class Inputs {
 public:
  explicit Inputs(Memory& memory) : memory_(memory) {}
  Memory& memory() const { return memory_; }
  Context& context() const { return memory_.context(); }

  template <class T>
  T* space(int64_t count) const {
    return static_cast<T*>(memory_.allocate(static_cast<size_t>(count) * sizeof(T)));
  }
  void* workspace(size_t bytes) const { return bytes == 0 ? nullptr : memory_.allocate(bytes); }
  // Uniform values; a block of random ones over and over.
  template <class T>
  T* values(int64_t count, double low = -1, double high = 1) const;
  template <class T>
  T* upload(const std::vector<T>& values) const {
    T* memory = space<T>(static_cast<int64_t>(values.size()));
    memory_.upload(memory, values.data(), values.size() * sizeof(T));
    return memory;
  }
  real* scalar(double value) const { return upload<real>({static_cast<real>(value)}); }
  // Four samples of an identity in a row.
  int32_t* labels(int n, int identities) const;
  uint8_t* infrared(int n) const;  // every other one

 private:
  void repeat(void* block, size_t block_bytes, size_t bytes) const;
  Memory& memory_;
};

template <class T>
T* Inputs::values(int64_t count, double low, double high) const {
  constexpr int64_t kBlock = 1 << 16;  // a multiple of 256 bytes in every type
  T* memory = space<T>(count);
  if (memory_.dry()) return memory;
  std::vector<T> block(static_cast<size_t>(count < kBlock ? count : kBlock));
  uint64_t state = 1;
  for (T& value : block) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    const double u = static_cast<double>(state >> 11) * 0x1p-53;
    if constexpr (std::is_same_v<T, double>)
      value = low + (high - low) * u;
    else
      value = T(static_cast<float>(low + (high - low) * u));
  }
  memory_.upload(memory, block.data(), block.size() * sizeof(T));
  repeat(memory, block.size() * sizeof(T), static_cast<size_t>(count) * sizeof(T));
  return memory;
}

// The benchmark's call of a kernel; `in` is the instance's Inputs.
#define CALL(kernel_call)                                        \
  [=, &context = in.context(), stream = in.context().stream()] { \
    static_cast<void>(stream);                                   \
    ON_BACKEND(context.backend(), kernel_call);                  \
  }
// Bytes from a backend's workspace query.
#define ASK(query) ASK_BACKEND(in.context(), query)

class Table {
 public:
  void add(const char* kernel, std::string shape, double bytes, std::function<Call(const Inputs&)> make) {
    KernelBench bench;
    bench.kernel = kernel;
    bench.shape = std::move(shape);
    bench.bytes = bytes;
    bench.make = [make](Memory& memory) { return make(Inputs(memory)); };
    list_.push_back(std::move(bench));
  }
  // Convolutions (storage) and matrix products (real).
  void add_product(const char* kernel, std::string shape, double bytes, double flops, bool storage,
                   std::function<Call(const Inputs&)> make, std::function<Call(Memory&)> vendor) {
    add(kernel, std::move(shape), bytes, std::move(make));
    list_.back().flops = flops;
    list_.back().storage = storage;
    list_.back().vendor = std::move(vendor);
  }
  std::vector<KernelBench> take() { return std::move(list_); }

 private:
  std::vector<KernelBench> list_;
};

constexpr double kStorage = sizeof(storage), kReal = sizeof(real);  // bytes

void add_convolutions(Table& table, const KernelSizes& sizes);
void add_products(Table& table, const KernelSizes& sizes);
void add_batch_norms(Table& table, const KernelSizes& sizes);
void add_instance_norms(Table& table, const KernelSizes& sizes);
void add_patterns(Table& table, const KernelSizes& sizes);
void add_pooling(Table& table, const KernelSizes& sizes);
void add_losses(Table& table, const KernelSizes& sizes);
void add_parameters(Table& table, const KernelSizes& sizes);
void add_evaluation(Table& table, const KernelSizes& sizes);

}  // namespace mpanet::PRECISION
