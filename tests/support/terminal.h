// A pseudo-terminal whose output a test reads and whose width it changes.
#pragma once
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

class Terminal {
 public:
  explicit Terminal(int columns) {
    if (openpty(&outer_, &inner_, nullptr, nullptr, nullptr) != 0) throw std::runtime_error("no pseudo-terminal");
    fcntl(outer_, F_SETFD, FD_CLOEXEC);
    termios raw{};
    tcgetattr(inner_, &raw);
    cfmakeraw(&raw);
    tcsetattr(inner_, TCSANOW, &raw);
    resize(columns);
  }
  ~Terminal() {
    close(outer_);
    close(inner_);
  }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  int descriptor() const { return inner_; }
  void resize(int columns) {
    winsize size{};
    size.ws_row = 24, size.ws_col = static_cast<unsigned short>(columns);
    ioctl(outer_, TIOCSWINSZ, &size);
  }
  // All output so far.
  const std::string& text() {
    pollfd ready{outer_, POLLIN, 0};
    while (poll(&ready, 1, 0) > 0 && (ready.revents & POLLIN) != 0) {
      char part[4096];
      const ssize_t got = read(outer_, part, sizeof part);
      if (got <= 0) break;
      text_.append(part, static_cast<size_t>(got));
    }
    return text_;
  }
  // Every state of the redrawn line, from the byte `begin` of the text on.
  std::vector<std::string> redrawn(size_t begin = 0) {
    static const std::string kErase = "\r\033[K";
    std::vector<std::string> states;
    for (size_t at = text().find(kErase, begin); at != std::string::npos; at = text_.find(kErase, at)) {
      at += kErase.size();
      states.push_back(text_.substr(at, text_.find_first_of("\r\n", at) - at));
    }
    return states;
  }

 private:
  int outer_ = -1, inner_ = -1;
  std::string text_;
};
