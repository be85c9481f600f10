#include "bench/kernel_table.h"

#include <algorithm>

namespace mpanet::PRECISION {

// By the backend's own copy kernel: a large input must not come over the bus.
void Inputs::repeat(void* block, size_t block_bytes, size_t bytes) const {
  char* begin = static_cast<char*>(block);
  for (size_t done = block_bytes; done < bytes;) {
    const size_t step = std::min(done, bytes - done);
    const auto count = static_cast<int64_t>((step + sizeof(real) - 1) / sizeof(real));
    ON_BACKEND(context().backend(), accumulate(context().stream(), reinterpret_cast<const real*>(begin),
                                               reinterpret_cast<real*>(begin + done), count, Write::Set));
    done += step;
  }
}

int32_t* Inputs::labels(int n, int identities) const {
  std::vector<int32_t> labels(static_cast<size_t>(n));
  for (int i = 0; i < n; i++) labels[static_cast<size_t>(i)] = i / 4 % identities;
  return upload(labels);
}

uint8_t* Inputs::infrared(int n) const {
  std::vector<uint8_t> flags(static_cast<size_t>(n));
  for (int i = 0; i < n; i++) flags[static_cast<size_t>(i)] = static_cast<uint8_t>(i % 2);
  return upload(flags);
}

std::vector<KernelBench> kernel_benches(const KernelSizes& sizes) {
  Table table;
  add_convolutions(table, sizes);
  add_products(table, sizes);
  add_batch_norms(table, sizes);
  add_pooling(table, sizes);
  add_instance_norms(table, sizes);
  add_patterns(table, sizes);
  add_losses(table, sizes);
  add_parameters(table, sizes);
  add_evaluation(table, sizes);
  return table.take();
}

}  // namespace mpanet::PRECISION
