#include "bench/launch_list.h"

#include <link.h>

#include <set>

#include "core/base/error.h"
#include "core/base/file.h"
#ifdef MPANET_HAS_EMU
#  include "kernels/emu/control.h"
#endif

namespace mpanet {

#ifdef MPANET_HAS_EMU

namespace {

// Where the system put the program; 0 for one that cannot be moved.
uintptr_t load_address() {
  uintptr_t address = 0;
  dl_iterate_phdr(
      [](dl_phdr_info* info, size_t, void* data) {
        *static_cast<uintptr_t*>(data) = info->dlpi_addr;
        return 1;  // the program comes first
      },
      &address);
  return address;
}

}  // namespace

void write_launches(const std::string& path, const std::vector<std::vector<KernelBench>>& lists) {
  std::set<std::string> lines;
  const uintptr_t base = load_address();
  simt::watch_launches([&](const simt::LaunchShape& l) {
    lines.insert(fmt::format("{:016x} {} {} {}\n", reinterpret_cast<uintptr_t>(l.entry) - base, l.blocks, l.threads,
                             l.shared_bytes));
    return false;
  });
  Context context(Backend::emu);
  for (const std::vector<KernelBench>& list : lists)
    for (const KernelBench& bench : list) {
      Memory memory(context, true);
      if (const Call call = bench.make(memory)) call();
    }
  simt::watch_launches({});
  std::string text;
  for (const std::string& line : lines) text += line;
  write_file(path, text);
}

#else

void write_launches(const std::string&, const std::vector<std::vector<KernelBench>>&) {
  fail("--launches: expected a build with the emulation (MPANET_EMU)");
}

#endif

}  // namespace mpanet
