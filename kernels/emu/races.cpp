#include "kernels/emu/races.h"

namespace mpanet::simt {

bool recording = false;

const Access* note(ShadowCell& cell, bool write, const Access& access) {
  const auto races = [&](const Access& other) { return other.epoch == access.epoch && other.who != access.who; };
  const Access* other = races(cell.write) ? &cell.write : write && races(cell.read) ? &cell.read : nullptr;
  if (other != nullptr) return other;
  if (write) {
    cell.write = access;
  } else {
    const bool several = cell.read.epoch == access.epoch && cell.read.who != access.who;
    cell.read = {access.epoch, several ? kSeveral : access.who, access.code};
  }
  return nullptr;
}

void note_atomic(const void*) {}
void note_fence() {}

}  // namespace mpanet::simt
