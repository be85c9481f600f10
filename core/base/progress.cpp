#include "core/base/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "core/base/output.h"
#include "core/base/quote.h"

namespace mpanet {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds kRedraw{200}, kPlain{10000};
constexpr size_t kUsualWidth = 80;

// Whether the stream is a terminal that can erase a line.
bool is_terminal(std::FILE* stream) {
  const char* kind = std::getenv("TERM");
  return isatty(fileno(stream)) == 1 && (kind == nullptr || std::string_view(kind) != "dumb");
}

}  // namespace

ProgressLine::ProgressLine(std::FILE* stream) : stream_(stream), terminal_(is_terminal(stream)), shown_(Clock::now()) {}

bool ProgressLine::due() const { return Clock::now() - shown_ >= (terminal_ ? kRedraw : kPlain); }

// Reads the width each time, because the window may have been resized.
size_t ProgressLine::width() const {
  winsize size{};
  return ioctl(fileno(stream_), TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : kUsualWidth;
}

void ProgressLine::show(const std::vector<std::string>& parts) {
  shown_ = Clock::now();
  // The last column stays free: writing to it makes some terminals wrap.
  const size_t room = terminal_ ? width() - 1 : std::string::npos;
  std::string line;
  for (const std::string& part : parts) {
    const std::string more = line.empty() ? part : ", " + part;
    if (!line.empty() && line.size() + more.size() > room) break;
    line += more;
  }
  if (terminal_)
    put("\r\033[K" + line.substr(0, room));
  else
    put(line + "\n");
  open_ = terminal_;
}

std::string ProgressLine::bar(size_t done, size_t total) const {
  if (!terminal_) return "";
  const size_t cells = std::clamp<size_t>(width() / 13, 5, 20);
  const size_t full = total > 0 ? std::min(cells, cells * done / total) : cells;
  return fmt::format(" [{}{}]", std::string(full, '='), std::string(cells - full, '-'));
}

void ProgressLine::say(std::string_view line) {
  finish();
  put(printable(line) + "\n");
}

void ProgressLine::finish() {
  if (open_) put("\n");
  open_ = false;
}

void ProgressLine::put(const std::string& text) { mpanet::say(stream_, text); }

Progress::Progress(std::string title, std::string unit, size_t total)
    : title_(std::move(title)), unit_(std::move(unit)), total_(total), start_(Clock::now()) {}

void Progress::advance(size_t count) {
  done_ += count;
  const bool last = done_ == total_;
  if (!last && !line_.due()) return;
  const double seconds = std::chrono::duration<double>(Clock::now() - start_).count();
  const double rate = seconds > 0 ? static_cast<double>(done_) / seconds : 0;
  const std::string time =
      last ? "in " + format_duration(seconds) : format_duration(static_cast<double>(total_ - done_) / rate) + " left";
  line_.show({fmt::format("{}{}: {}/{} {}", title_, line_.bar(done_, total_), done_, total_, unit_), time,
              fmt::format("{:.1f}/s", rate)});
  if (last) line_.finish();
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
