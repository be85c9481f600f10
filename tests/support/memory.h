// Measures the peak memory of an action, beyond the process's memory before it.
#pragma once
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <string>

#ifdef __SANITIZE_ADDRESS__
inline constexpr bool kMemoryIsMeasurable = false;  // freed memory stays resident
#else
inline constexpr bool kMemoryIsMeasurable = true;
#endif

// A line of /proc/self/status, in bytes.
inline size_t process_memory(const std::string& key) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with(key + ":")) return std::strtoull(line.c_str() + key.size() + 1, nullptr, 10) << 10;
  return 0;
}

inline size_t peak_growth(const std::function<void()>& action) {
  std::ofstream("/proc/self/clear_refs") << "5";  // resets the peak
  const size_t before = process_memory("VmRSS");
  action();
  const size_t peak = process_memory("VmHWM");
  return peak > before ? peak - before : 0;
}
