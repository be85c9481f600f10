// The C libraries that decode pictures report an error by calling a function of ours that must not return. It jumps
// back to guarded(). Between the two only C frames and C++ frames without destructors may lie, so each body is a plain
// function on a State that outlives the jump, and allocation and exceptions happen outside.
#pragma once
#include <csetjmp>

namespace mpanet {

// Runs body(state); false when the library reported an error, that is, when something did longjmp(state.errors.jump,
// 1).
template <class State>
bool guarded(State& state, void (*body)(State&)) {
  if (setjmp(state.errors.jump) != 0) return false;
  body(state);
  return true;
}

}  // namespace mpanet
