// libjpeg and libpng report an error by calling an error handler that must not return. The handler calls longjmp() back
// into guarded(). Stack frames that a longjmp() skips must have no destructors. So a body is a plain function on a
// State that outlives the jump, and allocations and exceptions happen outside of bodies.
#pragma once
#include <csetjmp>

namespace mpanet {

// Runs body(state). Returns false when the error handler called longjmp(state.errors.jump, 1).
template <class State>
bool guarded(State& state, void (*body)(State&)) {
  if (setjmp(state.errors.jump) != 0) return false;
  body(state);
  return true;
}

}  // namespace mpanet
