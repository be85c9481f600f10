// Number of threads.
//
// oneDNN plans its work for omp_get_max_threads() threads. In a smaller team it omits parts of the work, or hangs. So a
// program chooses the number once, at its start, checks that OpenMP provides it, and checks again before each
// step.
#pragma once
#include <functional>
#include <string>
#include <thread>

namespace mpanet {

// Makes idle OpenMP threads sleep, by OMP_WAIT_POLICY=passive, unless the user set this variable. By default they spin
// and use cores that the loader's threads and other programs need: on two busy cores a training step of a small network
// took several times as long. The runtime reads the variable before main(), so the program is started again by execv().
// Returns when the variable is set already.
void sleep_when_idle(char** argv);

// Number of processors that this process may use: the affinity mask's, at most the cgroup's quota rounded up.
int usable_processors(const std::string& root = "");

// A warning when `given` exceeds the cgroup's quota; else empty.
std::string quota_warning(int given, const std::string& root = "");

struct ThreadChoice {
  int count = 0;
  std::string text;     // "2 threads: 2 processors, OMP_NUM_THREADS 4"
  std::string warning;  // quota_warning(), or empty
};

// Sets the number of OpenMP threads of the program: `given`, or for 0 the number that the affinity mask, the cgroup's
// quota and OpenMP's limits allow. UserError when OpenMP cannot provide `given`. `root`: see cgroup_quota().
ThreadChoice choose_threads(int given, const std::string& root = "");

// The same for a program. Prints ThreadChoice::text and the warning on stderr, and returns the count.
int set_up_threads(int given);

// For the help of --threads.
inline constexpr const char* kThreadsHelp = "without it as many as the processors, the cgroup's quota and OpenMP allow";

// UserError unless OpenMP's team has the size that choose_threads() set; without it, the size at the first
// check_team(). To be called before work whose result depends on the size.
void check_team();

// Starts a thread. UserError when the system cannot start one.
std::jthread start_thread(std::function<void()> work);

// Calls work(item, thread) for every item < count, on up to `threads` threads, this one included; thread < threads. An
// exception in a thread ends the loop early and is thrown here.
void parallel_for(int threads, size_t count, const std::function<void(size_t item, int thread)>& work);

}  // namespace mpanet
