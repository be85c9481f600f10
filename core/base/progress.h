// Progress of long work. On a terminal it is one line that is redrawn and cut to the terminal's current width. On other
// streams it is plain lines, at most one in ten seconds.
#pragma once
#include <chrono>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

namespace mpanet {

// A line of progress. Write errors are ignored.
class ProgressLine {
 public:
  explicit ProgressLine(std::FILE* stream);
  ~ProgressLine() { finish(); }
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  bool terminal() const { return terminal_; }
  // Whether enough time has passed since the last show(): 0.2 seconds on a terminal, 10 on other streams.
  bool due() const;
  // Shows the parts, in descending order of importance. On a terminal those that do not fit are dropped.
  void show(const std::vector<std::string>& parts);
  // " [====------]", with a width that depends on the terminal's; empty on other streams.
  std::string bar(size_t done, size_t total) const;
  // Prints a line. Erases a redrawn line first.
  void say(std::string_view line);
  // Ends a redrawn line with a newline.
  void finish();

 private:
  size_t width() const;
  void put(const std::string& text);

  std::FILE* stream_;
  bool terminal_, open_ = false;
  std::chrono::steady_clock::time_point shown_;
};

// Progress of work that is counted: done of total, time left, rate. Writes to stderr.
class Progress {
 public:
  // `unit` names the counted items: "images".
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
