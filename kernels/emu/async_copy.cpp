#include "kernels/emu/async_copy.h"

#include <cstring>

#include "kernels/emu/block.h"

namespace mpanet::simt {
namespace {

void arrive(const PendingCopy& copy) {
  if (recording) {
    running_block->note_access(copy.from, static_cast<size_t>(copy.valid), false, {nullptr, copy.where});
    running_block->note_access(copy.to, static_cast<size_t>(copy.bytes), true, {nullptr, copy.where});
  }
  std::memcpy(copy.to, copy.from, static_cast<size_t>(copy.valid));
  std::memset(copy.to + copy.valid, 0, static_cast<size_t>(copy.bytes - copy.valid));
}

// Does the copies of all groups before `group`. The list is in the order of the calls.
void arrive_before(int group) {
  std::vector<PendingCopy>& copies = running_block->thread().copies;
  auto copy = copies.begin();
  while (copy != copies.end() && copy->group < group) arrive(*copy++);
  copies.erase(copies.begin(), copy);
}

}  // namespace

void async_copy(void* to_shared, const void* from, int bytes, int valid, Where where) {
  constexpr int kNaNByte = 0xff;
  if (valid < 0 || valid > bytes)
    fault(fmt::format("cp.async: expected 0 to {} bytes to read, got {}", bytes, valid), where);
  check_aligned(to_shared, static_cast<size_t>(bytes), where);
  check_aligned(from, static_cast<size_t>(bytes), where);
  if (!running_block->in_shared(to_shared, static_cast<size_t>(bytes)))
    fault(fmt::format("cp.async: {} bytes to {}, which is not in shared memory", bytes, to_shared), where);
  if (recording) running_block->note_access(to_shared, static_cast<size_t>(bytes), true, {nullptr, where});
  std::memset(to_shared, kNaNByte, static_cast<size_t>(bytes));
  Thread& thread = running_block->thread();
  thread.copies.push_back({static_cast<unsigned char*>(to_shared), static_cast<const unsigned char*>(from), bytes,
                           valid, thread.copy_groups, where});
}

void async_commit() { running_block->thread().copy_groups++; }
void async_wait(int newest) { arrive_before(running_block->thread().copy_groups - newest); }
void async_wait_all() { arrive_before(running_block->thread().copy_groups + 1); }

}  // namespace mpanet::simt
