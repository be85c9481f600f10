// How many threads compute, and that they do.
//
// oneDNN plans its work for omp_get_max_threads() threads. In a smaller team it leaves parts out, or waits for ever. So
// a program chooses the number once, at its start, makes sure that OpenMP delivers it, and looks again before each
// step.
#pragma once
#include <functional>
#include <string>
#include <thread>

namespace mpanet {

// Lets idle OpenMP threads sleep, unless the user's OMP_WAIT_POLICY says otherwise: by default they spin, and a
// spinning thread takes its core from the threads that load pictures and from other programs (on two busy cores a
// training step of a small network took several times as long). The runtime reads the variable before main(), so the
// program starts itself once more. Returns at once when there is nothing to do.
void sleep_when_idle(char** argv);

// Processors that this process may use: those of its affinity mask, at most its cgroup's quota rounded up.
int usable_processors(const std::string& root = "");

// A warning when `given` threads are more than the cgroup's quota; else empty.
std::string quota_warning(int given, const std::string& root = "");

struct ThreadChoice {
  int count = 0;
  std::string text;     // "2 threads: 2 processors, OMP_NUM_THREADS 4"
  std::string warning;  // empty, or why so many are slow
};

// Sets the number of OpenMP threads of the program: `given`, or with 0 what the affinity mask, the cgroup's quota and
// OpenMP's own limits allow. UserError when OpenMP has not that many. `root`: see cgroup_quota().
ThreadChoice choose_threads(int given, const std::string& root = "");

// The same for a program: what was chosen, and the warning, as lines on stderr. Returns the count.
int set_up_threads(int given);

// For the help of --threads.
inline constexpr const char* kThreadsHelp = "without it as many as the processors, the cgroup's quota and OpenMP allow";

// UserError unless OpenMP's team has as many threads as choose_threads() chose; without a choice, as the first call
// found. Call before work whose result depends on it.
void check_team();

// A new thread. UserError when the system has none left.
std::jthread start_thread(std::function<void()> work);

// Calls work(item, thread) for every item < count, on up to `threads` threads, this one included; thread < threads.
// What is thrown ends the loop early and is thrown here.
void parallel_for(int threads, size_t count, const std::function<void(size_t item, int thread)>& work);

}  // namespace mpanet
