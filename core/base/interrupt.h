// Ctrl-C during long work: the first signal requests a stop that loses no work, a second one ends the program at once.
#pragma once

namespace mpanet {

// Catches SIGINT, SIGTERM, SIGHUP and SIGUSR1 during its lifetime, except those that the parent process ignores
// (nohup). Shells and job systems often send a signal twice: a second one within a second of the first has no effect.
// A guard made while another one lives changes nothing, so that a signal is not forgotten between the parts of long
// work. Guards are made and destroyed by one thread.
class InterruptGuard {
 public:
  InterruptGuard();
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;
};

// Whether a signal has arrived since the outermost guard was made.
bool interrupted();

// The exit code of a program stopped by the signal: 128 + its number, as in shells. 130 is Ctrl-C.
int interrupt_exit_code();

// Thrown to stop work after the first signal. It is no error: the program ends with interrupt_exit_code().
struct Interrupted {};
void throw_if_interrupted();

}  // namespace mpanet
