#include "core/base/output.h"

#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <string>
#include <system_error>

#include "core/base/path_end.h"
#include "core/base/quote.h"

namespace mpanet {
namespace {

std::atomic<bool> stdout_dropped = false, stderr_dropped = false;

// errno, or 0 when all was written.
int write_all(int descriptor, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(descriptor, text.data(), text.size());
    if (written >= 0)
      text.remove_prefix(static_cast<size_t>(written));
    else if (errno == EAGAIN || errno == EWOULDBLOCK)
      return 0;  // a full pipe with O_NONBLOCK: only this text is lost
    else if (errno != EINTR)
      return errno;
  }
  return 0;
}

// Closes a duplicate: some network file systems report write errors in close().
int try_close(int descriptor) {
  const int copy = dup(descriptor);
  if (copy < 0 || close(copy) == 0 || errno == EINTR) return 0;
  return errno;
}

bool leads_to_stdout(const std::string& path) {
  PathEnd end;
  try {
    end = follow_path(path);
  } catch (const std::system_error&) {
    return false;
  }
  const bool descriptor = end.kind == PathEnd::Kind::Descriptor;
  if (descriptor && end.descriptor == STDOUT_FILENO) return true;
  struct stat output {
  }, own{};
  if ((descriptor ? fstat(end.descriptor, &output) : stat(end.path.c_str(), &output)) != 0) return false;
  // Of devices, such as /dev/null, there is one for all who write to it.
  return fstat(STDOUT_FILENO, &own) == 0 && !S_ISCHR(own.st_mode) && own.st_dev == output.st_dev &&
         own.st_ino == output.st_ino;
}

}  // namespace

void keep_stdout_for(const std::vector<std::string>& outputs) {
  for (const std::string& path : outputs) {
    if (path.empty() || !leads_to_stdout(path)) continue;
    std::fflush(stdout);
    dup2(STDERR_FILENO, STDOUT_FILENO);
    return;
  }
}

void say(std::FILE* stream, std::string_view text) {
  std::atomic<bool>& dropped = stream == stdout ? stdout_dropped : stderr_dropped;
  if (dropped) return;
  std::fflush(stdout);
  const int error = write_all(fileno(stream), text);
  dropped = error != 0;
  if (dropped && stream == stdout)
    note(std::string("standard output cannot be written: ") + std::strerror(error) + "; going on without it");
}

void note(std::string_view line) { say(stderr, printable(line) + "\n"); }

int finish_output(const char* program, int code) {
  errno = 0;
  const bool flushed = std::fflush(stdout) == 0 && std::ferror(stdout) == 0;
  int error = errno;
  if (flushed && (stdout_dropped || (error = try_close(STDOUT_FILENO)) == 0)) return code;
  // An earlier write failed, and its errno is gone. One more byte on what is incomplete anyway tells the reason again.
  if (error == 0) error = write_all(STDOUT_FILENO, "\n");
  note(std::string(program) + ": standard output: " + (error != 0 ? std::strerror(error) : "cannot be written"));
  return code == 0 ? 2 : code;
}

}  // namespace mpanet
