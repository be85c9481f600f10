// A thread that executes functions for other threads.
//
// The engine has to be called from a thread whose OpenMP team always has the same size (core/base/threads.h), whatever
// the caller's OpenMP settings are and whether or not the caller is itself in a parallel region. A new thread has its
// own settings and its own team, also in a child process whose parent used OpenMP before fork().
#pragma once
#include <sys/types.h>

#include <condition_variable>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>

namespace mpanet {

class Worker {
 public:
  // Starts the thread, with all signals blocked, so that handlers run in the caller's threads. UserError when it cannot
  // be started.
  Worker();
  ~Worker();  // ends the thread; no run() may be executed
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Executes `work` in the thread, waits for its end and throws what it threw. Callers take turns. UserError in a child
  // process: the thread is the parent's.
  void run(const std::function<void()>& work);
  // Whether this process has the thread.
  bool here() const;

 private:
  void loop();

  const pid_t process_;
  std::mutex turn_;   // held by the caller whose work is executed
  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  const std::function<void()>* work_ = nullptr;
  std::exception_ptr error_;
  bool stop_ = false;
  std::jthread thread_;
};

}  // namespace mpanet
