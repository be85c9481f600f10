#include "core/base/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cmath>

#include "core/base/output.h"

namespace mpanet {

Progress::Progress(std::string title, std::string unit, size_t total)
    : title_(std::move(title)),
      unit_(std::move(unit)),
      total_(total),
      start_(Clock::now()),
      drawn_(start_),
      terminal_(isatty(STDERR_FILENO) == 1) {}

Progress::~Progress() { finish(); }

void Progress::advance(size_t count) {
  done_ += count;
  const auto now = Clock::now();
  const std::chrono::duration<double> since = now - drawn_;
  if (since.count() < (terminal_ ? 0.2 : 10.0)) return;
  drawn_ = now;
  draw(false);
}

void Progress::finish() {
  if (finished_) return;
  finished_ = true;
  if (done_ > 0) draw(true);
}

void Progress::draw(bool last) {
  const double seconds = std::chrono::duration<double>(Clock::now() - start_).count();
  const double rate = seconds > 0 ? static_cast<double>(done_) / seconds : 0;
  std::string line = fmt::format("{}: {}", title_, done_);
  if (total_ > 0) line += fmt::format("/{}", total_);
  line += fmt::format(" {}, {:.1f}/s", unit_, rate);
  if (last)
    line += fmt::format(", {}", format_duration(seconds));
  else if (total_ > done_ && rate > 0)
    line += fmt::format(", {} left", format_duration(static_cast<double>(total_ - done_) / rate));
  if (terminal_)
    say(stderr, fmt::format("\r\033[K{}{}", line, last ? "\n" : ""));
  else
    note(line);
}

std::string format_duration(double seconds) {
  const long s = std::lround(seconds);
  if (s >= 3600) return fmt::format("{}h{:02}m", s / 3600, s % 3600 / 60);
  if (s >= 60) return fmt::format("{}m{:02}s", s / 60, s % 60);
  return fmt::format("{}s", s);
}

std::string format_bytes(double bytes) {
  if (bytes >= 0x1p30) return fmt::format("{:.2f} GiB", bytes * 0x1p-30);
  if (bytes >= 0x1p20) return fmt::format("{:.1f} MiB", bytes * 0x1p-20);
  return fmt::format("{:.1f} KiB", bytes * 0x1p-10);
}

}  // namespace mpanet
