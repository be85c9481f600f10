#include "kernels/emu/races.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <cstdio>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <unordered_map>

#include "kernels/emu/block.h"
#include "kernels/emu/control.h"
#include "kernels/emu/device.h"

namespace mpanet::simt {

bool recording = false;

namespace {

bool instrumented = false;

// The race check's state of the current launch, for all host threads.
struct DeviceRaces {
  std::mutex mutex;
  std::map<const void*, std::unique_ptr<Shadow>> shadows;  // by the allocation's begin
  uint32_t launch = 0;
  std::unordered_map<const void*, std::set<uint32_t>> released;  // atomic's address -> blocks ordered before it
  std::unordered_map<uint32_t, std::set<uint32_t>> before;       // block -> blocks ordered before it

  void enter(uint32_t number) {
    if (launch == number) return;
    launch = number;
    released.clear();
    before.clear();
  }
};
DeviceRaces& device_races() {
  static auto* races = new DeviceRaces;  // never destroyed, because static objects may release memory at exit
  return *races;
}

// The first and the last line that addr2line prints for an instruction: its own source line, and the line of the kernel
// into which it was inlined.
std::string source_lines(const std::string& file, uintptr_t offset) {
  const std::string command = fmt::format("addr2line -i -e '{}' {:#x} 2>/dev/null", file, offset);
  std::string first, last;
  if (FILE* pipe = popen(command.c_str(), "r")) {
    char line[1024];
    while (std::fgets(line, sizeof line, pipe) != nullptr) {
      std::string text = line;
      text.resize(text.find_first_of(" \n"));
      (first.empty() ? first : last) = text;
    }
    pclose(pipe);
  }
  if (first.empty() || first[0] == '?') return fmt::format("{}+{:#x}", file, offset);
  return last.empty() ? first : fmt::format("{} (from {})", first, last);
}

}  // namespace

void found_instrumented_code() { instrumented = recording = true; }
void set_race_check(bool on) { recording = instrumented && on; }
bool can_check_races() { return instrumented; }

std::string text_of(const Code& code) {
  if (code.instruction == nullptr) return text_of(code.where);
  const auto address = reinterpret_cast<uintptr_t>(code.instruction) - 1;  // inside the call, not after it
  Dl_info info;
  if (dladdr(code.instruction, &info) == 0 || info.dli_fname == nullptr) return fmt::format("{:#x}", address);
  const auto base = reinterpret_cast<uintptr_t>(info.dli_fbase);
  // A program that is not position-independent runs at the addresses of its file.
  constexpr uintptr_t kFixedBase = 0x400000;
  return source_lines(info.dli_fname, base == kFixedBase ? address : address - base);
}

bool note_device_access(const void* address, size_t bytes, bool write, const Access& access, Access* other) {
  const auto* at = static_cast<const unsigned char*>(address);
  const Span buffer = buffer_of(at);
  if (buffer.begin == nullptr) return false;
  DeviceRaces& races = device_races();
  const std::lock_guard lock(races.mutex);
  races.enter(access.epoch);
  std::unique_ptr<Shadow>& shadow = races.shadows[buffer.begin];
  if (shadow == nullptr) shadow = std::make_unique<Shadow>(buffer.bytes);
  const auto ordered = [&](uint32_t block) {
    const auto found = races.before.find(access.who);
    return found != races.before.end() && found->second.contains(block);
  };
  bool race = false;
  for (size_t i = 0; i < bytes && at + i < buffer.begin + buffer.bytes; i++)
    race |= note((*shadow)[static_cast<size_t>(at - buffer.begin) + i], write, access, ordered, other);
  return race;
}

std::unique_lock<std::mutex> note_atomic(const void* address) {
  if (running_block == nullptr) return {};
  DeviceRaces& races = device_races();
  std::unique_lock lock(races.mutex);
  races.enter(running_block->launch().number);
  const uint32_t block = running_block->number();
  std::set<uint32_t>&before = races.before[block], &released = races.released[address];
  before.insert(released.begin(), released.end());
  if (running_block->fenced()) {
    released.insert(before.begin(), before.end());
    released.insert(block);
  }
  return lock;
}

void note_fence() {
  if (running_block != nullptr) running_block->set_fenced();
}

void forget_shadow(const void* allocation) {
  DeviceRaces& races = device_races();
  const std::lock_guard lock(races.mutex);
  races.shadows.erase(allocation);
}

}  // namespace mpanet::simt
