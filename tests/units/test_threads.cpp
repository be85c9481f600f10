// Threads: the limits of their number, OpenMP's team, and the check of the team before each step.
#include <doctest/doctest.h>
#include <omp.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <set>

#include "core/base/cgroup.h"
#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/threads.h"
#include "kernels/cpu/packed_rows.h"
#include "tests/support/engine_helpers.h"
#include "tests/support/temporary_folder.h"

namespace mpanet {
namespace {

// A simulated /proc and /sys.
class Machine {
 public:
  const std::string& root() const { return folder_.path(); }
  void write(const std::string& path, const std::string& text) const {
    const std::string file = root() + path;
    std::filesystem::create_directories(std::filesystem::path(file).parent_path());
    write_file(file, text);
  }

 private:
  TemporaryFolder folder_;
};

const std::string kMountV2 = "31 23 0:28 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";
const std::string kMountV1 =
    "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
    "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";

TEST_CASE("the quota of a cgroup v2, its own or one above it") {
  Machine machine;
  CHECK(cgroup_quota(machine.root()) == 0);  // no /proc at all
  machine.write("/proc/self/mountinfo", "23 1 8:1 / / rw - ext4 /dev/sda rw\n" + kMountV2);
  machine.write("/proc/self/cgroup", "0::/jobs/mine\n");
  CHECK(cgroup_quota(machine.root()) == 0);  // no readable file
  machine.write("/sys/fs/cgroup/jobs/mine/cpu.max", "max 100000\n");
  CHECK(cgroup_quota(machine.root()) == 0);
  machine.write("/sys/fs/cgroup/jobs/mine/cpu.max", "150000 100000\n");
  CHECK(cgroup_quota(machine.root()) == 1.5);
  machine.write("/sys/fs/cgroup/jobs/cpu.max", "50000 100000\n");
  CHECK(cgroup_quota(machine.root()) == 0.5);
  machine.write("/sys/fs/cgroup/jobs/cpu.max", "400000 100000\n");
  CHECK(cgroup_quota(machine.root()) == 1.5);
}

TEST_CASE("the quota of a cgroup v1") {
  Machine machine;
  machine.write("/proc/self/mountinfo", kMountV1);
  machine.write("/proc/self/cgroup", "9:memory:/other\n4:cpu,cpuacct:/job 7\n0::/\n");
  machine.write("/sys/fs/cgroup/cpu,cpuacct/job 7/cpu.cfs_quota_us", "-1\n");
  machine.write("/sys/fs/cgroup/cpu,cpuacct/job 7/cpu.cfs_period_us", "100000\n");
  CHECK(cgroup_quota(machine.root()) == 0);
  machine.write("/sys/fs/cgroup/cpu,cpuacct/job 7/cpu.cfs_quota_us", "250000\n");
  CHECK(cgroup_quota(machine.root()) == 2.5);
}

TEST_CASE("the quota inside a container") {
  Machine machine;
  SUBCASE("version 2: its own group is the top") {
    machine.write("/proc/self/mountinfo", kMountV2);
    machine.write("/proc/self/cgroup", "0::/\n");
    machine.write("/sys/fs/cgroup/cpu.max", "200000 100000\n");
    CHECK(cgroup_quota(machine.root()) == 2);
  }
  SUBCASE("version 1: the group's path is told from outside, and only the group is mounted") {
    machine.write("/proc/self/mountinfo", "32 31 0:29 /docker/ab\\040c /cgroup/cpu rw - cgroup cgroup rw,cpu\n");
    machine.write("/proc/self/cgroup", "4:cpu:/docker/ab c\n");
    machine.write("/cgroup/cpu/cpu.cfs_quota_us", "10000");
    machine.write("/cgroup/cpu/cpu.cfs_period_us", "100000");
    CHECK(cgroup_quota(machine.root()) == doctest::Approx(0.1));
  }
  SUBCASE("a path that lies outside of what is mounted") {
    machine.write("/proc/self/mountinfo", kMountV2);
    machine.write("/proc/self/cgroup", "0::/../../elsewhere\n");
    machine.write("/sys/fs/cgroup/cpu.max", "300000 100000\n");
    CHECK(cgroup_quota(machine.root()) == 3);
  }
  SUBCASE("both versions: the smaller limit") {
    machine.write("/proc/self/mountinfo", kMountV1 + kMountV2);
    machine.write("/proc/self/cgroup", "4:cpu,cpuacct:/\n0::/\n");
    machine.write("/sys/fs/cgroup/cpu.max", "300000 100000\n");
    machine.write("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "200000");
    machine.write("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000");
    CHECK(cgroup_quota(machine.root()) == 2);
  }
}

// A machine whose cgroup allows this number of processors.
void limit(const Machine& machine, const std::string& quota) {
  machine.write("/proc/self/mountinfo", kMountV2);
  machine.write("/proc/self/cgroup", "0::/\n");
  machine.write("/sys/fs/cgroup/cpu.max", quota + " 100000\n");
}

// Restores the number of threads for the other tests.
struct Restored {
  int before = omp_get_max_threads();
  ~Restored() { choose_threads(before); }
};

TEST_CASE("without a number: the processors, the quota rounded up, what OpenMP allows") {
  const Restored restored;
  const Machine machine;
  const int processors = omp_get_num_procs();
  CHECK(usable_processors(machine.root()) == processors);
  limit(machine, "30000");
  CHECK(usable_processors(machine.root()) == 1);
  ThreadChoice choice = choose_threads(0, machine.root());
  CHECK(choice.count == 1);
  CHECK(omp_get_max_threads() == 1);
  CHECK(choice.text.starts_with("1 thread: "));
  CHECK(choice.text.find("quota of 0.3") != choice.text.npos);
  CHECK(choice.warning.empty());
  limit(machine, "110000");
  CHECK(usable_processors(machine.root()) == std::min(processors, 2));
  limit(machine, "100000000");
  CHECK(usable_processors(machine.root()) == processors);
}

TEST_CASE("a given number is taken, with one warning above the quota") {
  const Restored restored;
  const Machine machine;
  limit(machine, "150000");
  CHECK(choose_threads(2, machine.root()).warning.empty());
  const ThreadChoice choice = choose_threads(3, machine.root());
  CHECK(choice.count == 3);
  CHECK(choice.warning.find("--threads 3: the cgroup's quota is 1.5") == 0);
  int size = 0;
#pragma omp parallel
#pragma omp single
  size = omp_get_num_threads();
  CHECK(size == 3);
}

TEST_CASE("OpenMP may not shrink the team when the machine is busy") {
  const Restored restored;
  omp_set_dynamic(1);
  choose_threads(3);
  CHECK(omp_get_dynamic() == 0);
  check_team();
}

TEST_CASE("a number that OpenMP does not deliver is refused") {
  const Restored restored;
  const int levels = omp_get_max_active_levels();
  omp_set_max_active_levels(0);
  const std::string error = error_of([] { choose_threads(2); });
  omp_set_max_active_levels(levels);
  CHECK(error.find("--threads 2: OpenMP gives 1") == 0);
}

TEST_CASE("no step is computed by another team than the first") {
  const Restored restored;
  choose_threads(3);
  for (const Precision precision : kPrecisions) {
    const EngineConfig config = tiny(precision);
    const auto engine = make_engine(config);
    engine->initialize(1);
    const Batch batch = make_batch(config.model, config.train_batch, 0);
    engine->forward_backward(batch, 1);
    omp_set_num_threads(2);
    CHECK(error_of([&] { engine->forward_backward(batch, 1); }).find("had 3 threads and now has 2") !=
          std::string::npos);
    CHECK(error_of([&] { embed(*engine, batch); }).find("had 3 threads and now has 2") != std::string::npos);
    omp_set_num_threads(3);
    engine->forward_backward(batch, 1);
  }
  PackedRows left(PackedRows::Side::Left, 0, 1), right(PackedRows::Side::Right, 0, 1);
  float product = 0;
  multiply(left, right, &product, 1);
  omp_set_num_threads(2);
  CHECK(error_of([&] { multiply(left, right, &product, 1); }).find("had 3 threads") != std::string::npos);
}

TEST_CASE("parallel_for: every item once, the number of the thread, errors") {
  for (const int threads : {1, 3, 8}) {
    std::vector<std::atomic<int>> seen(100);
    std::atomic<bool> in_range = true;
    parallel_for(threads, seen.size(), [&](size_t item, int thread) {
      seen[item]++;
      if (thread < 0 || thread >= threads) in_range = false;
    });
    CHECK(std::all_of(seen.begin(), seen.end(), [](const auto& n) { return n == 1; }));
    CHECK(in_range);
    std::atomic<int> done = 0;
    const auto fails = [&](size_t item, int) {
      if (item == 5) fail("item 5");
      done++;
    };
    CHECK(error_of([&] { parallel_for(threads, 1000000, fails); }) == "item 5");
    CHECK(done < 1000000 - 1);
    parallel_for(threads, 0, fails);
  }
}

}  // namespace
}  // namespace mpanet
