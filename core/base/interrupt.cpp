#include "core/base/interrupt.h"

#include <unistd.h>

#include <csignal>
#include <ctime>
#include <iterator>

namespace mpanet {
namespace {

constexpr int kSignals[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1};
constexpr double kSameRequest = 1;  // seconds during which further signals repeat the first

volatile std::sig_atomic_t arrived = 0;  // the first signal's number
timespec arrived_at;
struct sigaction previous[std::size(kSignals)];
int guards = 0;  // alive

void on_signal(int signal) {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  if (arrived == 0) {
    arrived_at = now;
    arrived = signal;
    return;
  }
  const double since = static_cast<double>(now.tv_sec - arrived_at.tv_sec) +
                       1e-9 * static_cast<double>(now.tv_nsec - arrived_at.tv_nsec);
  if (since >= kSameRequest) _exit(128 + signal);
}

}  // namespace

InterruptGuard::InterruptGuard() {
  if (guards++ > 0) return;
  arrived = 0;
  struct sigaction action {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;
  for (const int signal : kSignals) sigaddset(&action.sa_mask, signal);
  for (size_t i = 0; i < std::size(kSignals); i++) {
    sigaction(kSignals[i], nullptr, &previous[i]);
    if (previous[i].sa_handler != SIG_IGN) sigaction(kSignals[i], &action, nullptr);
  }
}

InterruptGuard::~InterruptGuard() {
  if (--guards > 0) return;
  for (size_t i = 0; i < std::size(kSignals); i++) sigaction(kSignals[i], &previous[i], nullptr);
}

bool interrupted() { return arrived != 0; }

void throw_if_interrupted() {
  if (interrupted()) throw Interrupted{};
}

int interrupt_exit_code() { return 128 + static_cast<int>(arrived); }

}  // namespace mpanet
