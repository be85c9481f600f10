// How much memory this process may still take.
#pragma once
#include <cstddef>
#include <string>

namespace mpanet {

// Bytes: what the kernel calls available (MemAvailable), or what the process's control group still allows if that is
// less. `root` stands before /proc and /sys, for tests. 0 when nothing is known.
size_t free_memory(const std::string& root = "");

}  // namespace mpanet
