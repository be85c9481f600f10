// Progress of long work. On a terminal it is one line that is redrawn and never wraps, whatever the terminal's width is
// at that moment. Elsewhere it is plain lines, one in ten seconds at most.
#pragma once
#include <chrono>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

namespace mpanet {

// A stream that cannot be written any more is left alone: the work goes on without it.
class ProgressLine {
 public:
  explicit ProgressLine(std::FILE* stream);
  ~ProgressLine() { finish(); }
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  bool terminal() const { return terminal_; }
  // Whether enough time has passed since the last show(): 0.2 seconds on a terminal, 10 elsewhere.
  bool due() const;
  // The parts in the order of their importance. A terminal gets as many of them as it has room for.
  void show(const std::vector<std::string>& parts);
  // " [====------]", as wide as suits the terminal; empty elsewhere.
  std::string bar(size_t done, size_t total) const;
  // A line of its own, also in the middle of a redrawn one.
  void say(std::string_view line);
  // Ends a redrawn line, so that what follows begins a new one.
  void finish();

 private:
  size_t width() const;
  void put(const std::string& text);

  std::FILE* stream_;
  bool terminal_, open_ = false;
  std::chrono::steady_clock::time_point shown_;
};

// Work that is counted: done of total, time left, rate. Writes to stderr, so that results on stdout stay clean.
class Progress {
 public:
  // `unit` is what is counted: "images".
  Progress(std::string title, std::string unit, size_t total);
  void advance(size_t count = 1);

 private:
  ProgressLine line_{stderr};
  std::string title_, unit_;
  size_t total_, done_ = 0;
  std::chrono::steady_clock::time_point start_;
};

// "1h02m", "3m05s", "12s".
std::string format_duration(double seconds);
// "1.5 GiB", "320 MiB".
std::string format_bytes(double bytes);

}  // namespace mpanet
