#include "core/guarded_memory.h"

#include <algorithm>
#include <exception>
#include <utility>
#include <vector>

#include "core/base/error.h"
#include "core/base/guard.h"
#include "core/base/text.h"
#include "kernels/memory.h"

namespace mpanet {
namespace {

constexpr size_t kBefore = 256, kBehind = 512;

// The emulation has guard zones of its own and reports the kernel. Under AddressSanitizer blocks have no zones, so that
// it sees their ends.
bool guards_itself(Backend backend) {
#if defined(__SANITIZE_ADDRESS__)
  return backend != Backend::cuda;
#else
  return backend == Backend::emu;
#endif
}

}  // namespace

GuardedMemory::~GuardedMemory() {
  for (const auto& [memory, block] : blocks_)
    ON_BACKEND(backend_, release_apart(stream_, guards_itself(backend_) ? memory : memory - kBefore));
}

void* GuardedMemory::take(size_t bytes) {
  const Block block{bytes, guard_pattern(taken_++)};
  const size_t before = guards_itself(backend_) ? 0 : kBefore, behind = guards_itself(backend_) ? 0 : kBehind;
  char* const memory =
      static_cast<char*>(ON_BACKEND(backend_, allocate_apart(stream_, before + bytes + behind))) + before;
  blocks_[memory] = block;
  std::vector<unsigned char> contents(before + bytes + behind);
  fill_guard(contents.data(), contents.size(), block.pattern);
  if (!contents.empty())  // data() of an empty vector may be null
    ON_BACKEND(backend_, copy_to_device(stream_, memory - before, contents.data(), contents.size()));
  return memory;
}

// Describes a write into the zones of a block, and restores them; empty when there was none.
std::string GuardedMemory::damage_of(char* memory, const Block& block) {
  if (guards_itself(backend_)) return {};
  unsigned char zones[kBefore + kBehind], whole[kBefore + kBehind];
  fill_guard(whole, kBefore, block.pattern);
  fill_guard(whole + kBefore, kBehind, block.pattern, block.bytes);
  ON_BACKEND(backend_, copy_to_host(stream_, zones, memory - kBefore, kBefore));
  ON_BACKEND(backend_, copy_to_host(stream_, zones + kBefore, memory + block.bytes, kBehind));
  const auto* const found = std::mismatch(zones, zones + sizeof zones, whole).first;
  if (found == zones + sizeof zones) return {};
  ON_BACKEND(backend_, copy_to_device(stream_, memory - kBefore, whole, kBefore));
  ON_BACKEND(backend_, copy_to_device(stream_, memory + block.bytes, whole + kBefore, kBehind));
  const auto at = static_cast<size_t>(found - zones);
  return at < kBefore ? fmt::format("written {} before a block of {}", counted(kBefore - at, "byte"),
                                    counted(block.bytes, "byte"))
                      : fmt::format("written {} behind a block of {}", counted(at - kBefore, "byte"),
                                    counted(block.bytes, "byte"));
}

void GuardedMemory::give_back(void* memory) noexcept {
  const auto block = blocks_.find(static_cast<char*>(memory));
  std::string text;
  try {
    MPANET_CHECK(block != blocks_.end(), "{} is where no block begins", memory);
    text = damage_of(block->first, block->second);
  } catch (const std::exception& error) {
    text = error.what();
  }
  if (unreported_.empty()) unreported_ = text;
  if (block == blocks_.end()) return;
  ON_BACKEND(backend_, release_apart(stream_, guards_itself(backend_) ? block->first : block->first - kBefore));
  blocks_.erase(block);
}

void GuardedMemory::check() {
  ON_BACKEND(backend_, synchronize(stream_));
  std::string text = std::exchange(unreported_, {});
  for (const auto& [memory, block] : blocks_)
    if (const std::string found = damage_of(memory, block); text.empty()) text = found;
  if (!text.empty()) throw CheckError("device memory: " + text);
}

std::string GuardedMemory::damage() noexcept {
  try {
    check();
    return {};
  } catch (const std::exception& error) {
    return error.what();
  }
}

}  // namespace mpanet
