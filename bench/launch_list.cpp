#include "bench/launch_list.h"

#include <fmt/format.h>
#include <link.h>

#include <memory>
#include <set>

#include "core/base/error.h"
#include "core/base/file.h"
#ifdef MPANET_HAS_EMU
#  include "kernels/emu/control.h"
#endif

namespace mpanet {

#ifdef MPANET_HAS_EMU

namespace {

// The program's load address; 0 for a program that is not position-independent.
uintptr_t load_address() {
  uintptr_t address = 0;
  dl_iterate_phdr(
      [](dl_phdr_info* info, size_t, void* data) {
        *static_cast<uintptr_t*>(data) = info->dlpi_addr;
        return 1;  // stops after the first entry, the program
      },
      &address);
  return address;
}

}  // namespace

void write_launches(const std::string& path, const std::vector<LaunchedOps>& lists) {
  std::set<std::string> lines;
  const uintptr_t base = load_address();
  simt::watch_launches([&](const simt::LaunchShape& l) {
    lines.insert(fmt::format("{:016x} {} {} {}\n", reinterpret_cast<uintptr_t>(l.entry) - base, l.blocks, l.threads,
                             l.shared_bytes));
    return false;
  });
  for (const LaunchedOps& list : lists) {
    const auto stream = stream_for(Backend::emu, list.precision);
    const std::vector<OpName> names = list.precision.benchmarks(list.sizes);
    for (const size_t index : list.indices) {
      const auto instance = list.precision.instance(list.sizes, index, stream, InstanceMode::Launch);
      instance->forward();
      if (!names[index].recording) continue;
      instance->prepare_backward();
      instance->backward();
    }
  }
  simt::watch_launches({});
  std::string text;
  for (const std::string& line : lines) text += line;
  write_file(path, text);
}

#else

void write_launches(const std::string&, const std::vector<LaunchedOps>&) {
  fail("--launches: expected a build with the emulation (MPANET_EMU)");
}

#endif

}  // namespace mpanet
