// Ctrl-C during long work: the first signal asks to stop at the next good moment, a later one ends the program at once.
#pragma once

namespace mpanet {

// Catches SIGINT, SIGTERM, SIGHUP and SIGUSR1 while it lives, but for those that the parent process told to ignore (as
// nohup does). Shells and job systems often send a signal twice, so one within a second of the first means the same.
class InterruptGuard {
 public:
  InterruptGuard();
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;
};

// Whether a signal has arrived since the guard was made.
bool interrupted();

// What a program stopped by the signal exits with: 128 and its number, as shells count it. 130 is Ctrl-C.
int interrupt_exit_code();

// Thrown where work stops on the first signal. Not an error: the program ends with interrupt_exit_code().
struct Interrupted {};

}  // namespace mpanet
