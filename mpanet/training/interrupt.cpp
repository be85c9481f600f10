#include "mpanet/training/interrupt.h"

#include <unistd.h>

#include <csignal>

namespace mpanet {
namespace {

volatile std::sig_atomic_t arrived = 0;
struct sigaction previous_int, previous_term;

void on_signal(int) {
  if (arrived) _exit(kInterruptedExit);
  arrived = 1;
}

}  // namespace

InterruptGuard::InterruptGuard() {
  arrived = 0;
  struct sigaction action {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;
  sigaction(SIGINT, &action, &previous_int);
  sigaction(SIGTERM, &action, &previous_term);
}

InterruptGuard::~InterruptGuard() {
  sigaction(SIGINT, &previous_int, nullptr);
  sigaction(SIGTERM, &previous_term, nullptr);
}

bool interrupted() { return arrived != 0; }

}  // namespace mpanet
