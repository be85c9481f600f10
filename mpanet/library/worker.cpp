#include "mpanet/library/worker.h"

#include <signal.h>
#include <unistd.h>

#include <utility>

#include "core/base/error.h"
#include "core/base/threads.h"

namespace mpanet {

namespace {

// Blocks all signals in this thread, and so in the threads that it starts.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;

 private:
  sigset_t before_;
};

}  // namespace

Worker::Worker() : process_(getpid()) {
  const SignalsBlocked blocked;
  thread_ = start_thread([this] { loop(); });
}

Worker::~Worker() {
  const std::lock_guard lock(mutex_);
  stop_ = true;
  changed_.notify_all();
}

bool Worker::here() const { return getpid() == process_; }

void Worker::run(const std::function<void()>& work) {
  if (!here()) fail("the network was loaded before this process was forked; load it again in this process");
  const std::lock_guard turn(turn_);
  std::unique_lock lock(mutex_);
  work_ = &work;
  changed_.notify_all();
  changed_.wait(lock, [&] { return work_ == nullptr; });
  if (const std::exception_ptr error = std::exchange(error_, nullptr)) std::rethrow_exception(error);
}

void Worker::loop() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return stop_ || work_ != nullptr; });
    if (stop_) return;
    const std::function<void()>& work = *work_;
    lock.unlock();
    std::exception_ptr error;
    try {
      work();
    } catch (...) {
      error = std::current_exception();
    }
    lock.lock();
    error_ = std::move(error);
    work_ = nullptr;
    changed_.notify_all();
  }
}

}  // namespace mpanet
