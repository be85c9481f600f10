// Free memory of the host, for this process.
#pragma once
#include <cstddef>
#include <string>

namespace mpanet {

// Bytes: the smaller of MemAvailable in /proc/meminfo and the rest of the control group's limit; 0 when neither is
// known. Tests pass a prefix of /proc and /sys as `root`.
size_t free_memory(const std::string& root = "");

// Bytes of memory that this process holds now; 0 when it is not known.
size_t resident_memory();

}  // namespace mpanet
