// Progress of long work: on a terminal one line that is redrawn (done of total, rate, time left), elsewhere plain lines
// at most every few seconds. Writes to stderr, so that results on stdout stay clean.
#pragma once
#include <chrono>
#include <string>

namespace mpanet {

class Progress {
 public:
  // `unit` is what is counted: "images", "steps". total 0: unknown.
  Progress(std::string title, std::string unit, size_t total);
  ~Progress();
  void advance(size_t count = 1);
  void finish();  // draws the last state and ends the line; the destructor calls it

 private:
  void draw(bool last);
  using Clock = std::chrono::steady_clock;
  std::string title_, unit_;
  size_t total_, done_ = 0;
  Clock::time_point start_, drawn_;
  bool terminal_, finished_ = false, printed_ = false;
};

// "1h02m", "3m05s", "12s".
std::string format_duration(double seconds);
// "1.5 GiB", "320 MiB".
std::string format_bytes(double bytes);

}  // namespace mpanet
