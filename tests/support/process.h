// Runs a program in a process that a test can watch and send signals to.
#pragma once
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "core/base/file.h"
#include "tests/support/temporary_folder.h"

class Process {
 public:
  // arguments[0] is the program's path. `file_limit` (bytes) simulates a full disk: writing beyond it fails. `terminal`
  // is a descriptor for stdout and stderr, in place of the files that out() and err() read.
  explicit Process(const std::vector<std::string>& arguments, long file_limit = -1, int terminal = -1) {
    std::vector<char*> list;
    for (const std::string& argument : arguments) list.push_back(const_cast<char*>(argument.c_str()));
    list.push_back(nullptr);
    const std::string out = folder_ / "out", err = folder_ / "err";
    pid_ = fork();
    if (pid_ != 0) return;
    // Only functions that are safe between fork and exec from here on.
    const auto descriptor = [&](const std::string& file) {
      return terminal >= 0 ? terminal : open(file.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
    };
    dup2(descriptor(out), STDOUT_FILENO);
    dup2(descriptor(err), STDERR_FILENO);
    setenv("OMP_WAIT_POLICY", "passive", 1);  // tests run concurrently
    if (file_limit >= 0) {
      const rlimit limit{static_cast<rlim_t>(file_limit), static_cast<rlim_t>(file_limit)};
      setrlimit(RLIMIT_FSIZE, &limit);
      std::signal(SIGXFSZ, SIG_IGN);
    }
    execv(list[0], list.data());
    _exit(127);
  }
  ~Process() {
    if (running()) send(SIGKILL);
    wait();
  }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  void send(int signal) { kill(pid_, signal); }
  bool running() {
    if (ended_) return false;
    ended_ = waitpid(pid_, &status_, WNOHANG) == pid_;
    return !ended_;
  }
  // Waits for the program's end and returns its exit code; 128 + signal if it was killed.
  int wait() {
    if (!ended_) waitpid(pid_, &status_, 0);
    ended_ = true;
    return WIFEXITED(status_) ? WEXITSTATUS(status_) : 128 + WTERMSIG(status_);
  }
  // Waits until `condition` holds, the program ends, or about a minute has passed. Returns whether it holds.
  bool wait_until(const std::function<bool()>& condition) {
    for (int i = 0; i < 60000; i++) {
      if (condition()) return true;
      if (!running()) return condition();
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return false;
  }
  std::string out() const { return text("out"); }
  std::string err() const { return text("err"); }

 private:
  std::string text(const char* name) const {
    return std::filesystem::exists(folder_ / name) ? mpanet::read_text(folder_ / name) : "";
  }
  TemporaryFolder folder_;
  pid_t pid_ = -1;
  int status_ = 0;
  bool ended_ = false;
};
