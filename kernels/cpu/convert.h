// How the cpu backend's loops read storage and write either type: computing always happens in real.
#pragma once
#include "core/real.h"

namespace mpanet::PRECISION::cpu {

inline real load(storage value) { return static_cast<real>(value); }
template <class T>
inline T store(real value) {
  return static_cast<T>(value);
}
// Sets or adds, as the caller was told to.
template <class T>
inline void put(T& to, real value, Write write) {
  to = static_cast<T>(write == Write::Add ? static_cast<real>(to) + value : value);
}

}  // namespace mpanet::PRECISION::cpu
