// Ctrl-C during training: the first one asks to stop at the next good moment, the second ends the program at once.
#pragma once

namespace mpanet {

// Catches SIGINT and SIGTERM while it lives.
class InterruptGuard {
 public:
  InterruptGuard();
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;
};

// Whether a signal has arrived since the guard was made.
bool interrupted();

// Thrown where work stops on the first signal. Not an error: train() answers it with exit code 130.
struct Interrupted {};

constexpr int kInterruptedExit = 130;

}  // namespace mpanet
