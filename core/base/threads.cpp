#include "core/base/threads.h"

#include <omp.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <condition_variable>
#include <cstdlib>
#include <exception>
#include <limits>
#include <mutex>
#include <system_error>
#include <vector>

#include "core/base/cgroup.h"
#include "core/base/error.h"
#include "core/base/output.h"
#include "core/base/text.h"

namespace mpanet {
namespace {

std::atomic<int> chosen_team = 0;
constexpr int kNoLimit = std::numeric_limits<int>::max();

// Number of processors in the affinity mask. OpenMP read the mask before it bound its threads.
int affine_processors() { return std::max(1, omp_get_num_procs()); }

// OMP_NUM_THREADS, or OpenMP's default. The first call comes before this program sets another number.
int initial_max_threads() {
  static const int initial = omp_get_max_threads();
  return initial;
}

int team_size() {
  int size = 0;
#pragma omp parallel
#pragma omp single
  size = omp_get_num_threads();
  return size;
}

// Starts `count` threads once and throws UserError when the system has too few. OpenMP would end the program.
void try_threads(int count) {
  std::mutex mutex;
  std::condition_variable all_started;
  int started = 1;
  bool failed = false;
  std::vector<std::jthread> threads;
  const auto wait = [&] {
    std::unique_lock lock(mutex);
    started++;
    all_started.notify_all();
    all_started.wait(lock, [&] { return failed || started >= count; });
  };
  try {
    for (int i = 1; i < count; i++) threads.emplace_back(wait);
  } catch (const std::system_error& error) {
    {
      const std::lock_guard lock(mutex);
      failed = true;
    }
    all_started.notify_all();
    fail("cannot start {}: {}", counted(count, "thread"), error.code().message());
  }
}

std::string limits_text(double quota) {
  std::string text = counted(affine_processors(), "processor");
  if (quota > 0) text += fmt::format(", a cgroup's quota of {:.4g}", quota);
  if (std::getenv("OMP_NUM_THREADS") != nullptr) text += fmt::format(", OMP_NUM_THREADS {}", initial_max_threads());
  if (omp_get_thread_limit() < kNoLimit) text += fmt::format(", OMP_THREAD_LIMIT {}", omp_get_thread_limit());
  return text;
}

// For messages: the settings that may limit OpenMP's team.
std::string openmp_limits() {
  if (omp_get_max_active_levels() < 1) return ", OMP_MAX_ACTIVE_LEVELS is 0";
  const int limit = omp_get_thread_limit();
  return limit < kNoLimit ? fmt::format(", OMP_THREAD_LIMIT is {}", limit) : "";
}

}  // namespace

void sleep_when_idle(char** argv) {
  if (std::getenv("OMP_WAIT_POLICY") != nullptr || std::getenv("GOMP_SPINCOUNT") != nullptr) return;
  setenv("OMP_WAIT_POLICY", "passive", 1);
  execv("/proc/self/exe", argv);  // if this fails, the program continues with threads that spin
}

int usable_processors(const std::string& root) {
  const double quota = cgroup_quota(root);
  const int processors = affine_processors();
  return quota > 0 && quota < processors ? static_cast<int>(std::ceil(quota)) : processors;
}

std::string quota_warning(int given, const std::string& root) {
  const double quota = cgroup_quota(root);
  if (quota == 0 || given <= std::ceil(quota)) return "";
  return fmt::format("--threads {}: the cgroup's quota is {:.4g} processors; more threads wait for each other", given,
                     quota);
}

ThreadChoice choose_threads(int given, const std::string& root) {
  const int openmp = std::min(initial_max_threads(), omp_get_thread_limit());
  const int usable = usable_processors(root);
  const double quota = cgroup_quota(root);
  const int wanted = given > 0 ? given : std::min(openmp, usable);
  omp_set_dynamic(0);  // OMP_DYNAMIC lets OpenMP take fewer threads whenever the machine is busy
  omp_set_num_threads(wanted);
  if (wanted <= omp_get_thread_limit()) try_threads(wanted);
  const int size = team_size();
  if (given > 0 && size != given) fail("--threads {}: OpenMP gives {}{}", given, size, openmp_limits());
  omp_set_num_threads(size);
  chosen_team = size;
  ThreadChoice choice{size, fmt::format("{}: {}", counted(size, "thread"), limits_text(quota)), ""};
  if (given > 0) choice.text = counted(size, "thread");
  choice.warning = quota_warning(given, root);
  return choice;
}

int set_up_threads(int given) {
  const ThreadChoice choice = choose_threads(given);
  if (!choice.warning.empty()) note("warning: " + choice.warning);
  note(choice.text);
  return choice.count;
}

void check_team() {
  const int size = team_size();
  int expected = 0;
  if (chosen_team.compare_exchange_strong(expected, size)) return;
  if (size != expected)
    fail("OpenMP's team had {} and now has {}; results would be wrong{}", counted(expected, "thread"), size,
         openmp_limits());
}

std::jthread start_thread(std::function<void()> work) {
  try {
    return std::jthread(std::move(work));
  } catch (const std::system_error& error) {
    fail("cannot start a thread: {}", error.code().message());
  }
}

void parallel_for(int threads, size_t count, const std::function<void(size_t item, int thread)>& work) {
  std::atomic<size_t> next = 0;
  std::mutex starting;  // held until all threads have started: if one cannot start, no work is done
  std::mutex mutex;     // guards `error`
  std::exception_ptr error;
  const auto stop = [&] {
    next = count;
    const std::lock_guard lock(mutex);
    if (!error) error = std::current_exception();
  };
  const auto run = [&](int thread) {
    { const std::lock_guard wait(starting); }
    try {
      for (size_t item; (item = next++) < count;) work(item, thread);
    } catch (...) {
      stop();
    }
  };
  {
    std::vector<std::jthread> pool;
    std::unique_lock lock(starting);
    try {
      pool.reserve(
          static_cast<size_t>(threads));  // a push_back() that failed would join a thread that waits for the lock
      for (int i = 1; i < threads && static_cast<size_t>(i) < count; i++)
        pool.push_back(start_thread([&run, i] { run(i); }));
    } catch (...) {
      stop();
    }
    lock.unlock();
    run(0);
  }
  if (error) std::rethrow_exception(error);
}

}  // namespace mpanet
