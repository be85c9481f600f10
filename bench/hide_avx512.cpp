// A library for LD_PRELOAD that hides AVX-512, AMX and later vector extensions from a program and from the programs
// that it starts, for scripts/compare-peers --instruction-set avx2. On processors with CPUID faulting (flag cpuid_fault
// in /proc/cpuinfo) the instruction cpuid can be made to raise SIGSEGV. The handler of this library then executes cpuid
// and clears the bits of the hidden features in its result.
//
// The library is linked with -z initfirst, because other libraries execute cpuid in their static initialisers. execve()
// switches faulting off, and the constructor of this library in the new program switches it on again. A program that
// installs a SIGSEGV handler of its own, such as gcc's driver, is told that this succeeded, but the handler here stays.
// Register XCR0 cannot be hidden: it still says that the system saves the 512-bit registers.
#include <cpuid.h>
#include <dlfcn.h>
#include <signal.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>

namespace {

constexpr int kArchCpuid = 0x1012;  // ARCH_CPUID of asm/prctl.h: 0 makes cpuid fault in this thread, 1 ends that

template <class... Bit>
constexpr uint32_t without(Bit... bit) {
  return ~((uint32_t{1} << bit) | ...);
}

struct Registers {
  uint32_t a, b, c, d;
};

// Intel's manual, volume 2A, CPUID, leaf 7.
void clear_features(uint32_t leaf, uint32_t part, Registers& r) {
  if (leaf == 7 && part == 0) {
    r.b &= without(16, 17, 21, 26, 27, 28, 30, 31);  // AVX512 F, DQ, IFMA, PF, ER, CD, BW, VL
    r.c &= without(1, 6, 11, 12, 14);                // AVX512 VBMI, VBMI2, VNNI, BITALG, VPOPCNTDQ
    r.d &= without(2, 3, 8, 23);                     // AVX512 4VNNIW, 4FMAPS, VP2INTERSECT, FP16
    r.d &= without(22, 24, 25);                      // AMX BF16, TILE, INT8
  }
  if (leaf == 7 && part == 1) {
    r.a &= without(4, 5, 21, 23);     // AVX-VNNI, AVX512 BF16, AMX-FP16, AVX-IFMA
    r.d &= without(4, 5, 8, 10, 19);  // AVX-VNNI-INT8, AVX-NE-CONVERT, AMX-COMPLEX, AVX-VNNI-INT16, AVX10
  }
}

using SigactionFunction = int (*)(int, const struct sigaction*, struct sigaction*);

int real_sigaction(int number, const struct sigaction* action, struct sigaction* before) {
  static const auto function = reinterpret_cast<SigactionFunction>(dlsym(RTLD_NEXT, "sigaction"));
  return function(number, action, before);
}

void on_fault(int number, siginfo_t* info, void* context) {
  auto& r = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  const auto* instruction = reinterpret_cast<const uint8_t*>(r[REG_RIP]);
  // Linux reports a general protection fault, as that of cpuid, as SI_KERNEL. The instruction was fetched, so its bytes
  // are readable.
  if (info->si_code != SI_KERNEL || instruction[0] != 0x0f || instruction[1] != 0xa2) {
    struct sigaction standard = {};
    standard.sa_handler = SIG_DFL;
    real_sigaction(number, &standard, nullptr);
    // A signal that kill() sent is sent again. A faulting instruction is executed again when the handler returns.
    if (info->si_code <= 0) raise(number);
    return;
  }
  const auto leaf = static_cast<uint32_t>(r[REG_RAX]), part = static_cast<uint32_t>(r[REG_RCX]);
  Registers result;
  syscall(SYS_arch_prctl, kArchCpuid, 1);
  __cpuid_count(leaf, part, result.a, result.b, result.c, result.d);
  syscall(SYS_arch_prctl, kArchCpuid, 0);
  clear_features(leaf, part, result);
  r[REG_RAX] = result.a;
  r[REG_RBX] = result.b;
  r[REG_RCX] = result.c;
  r[REG_RDX] = result.d;
  r[REG_RIP] += 2;
}

__attribute__((constructor)) void start() {
  struct sigaction action = {};
  action.sa_sigaction = on_fault;
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  if (real_sigaction(SIGSEGV, &action, nullptr) == 0 && syscall(SYS_arch_prctl, kArchCpuid, 0) == 0) return;
  static const char kMessage[] =
      "hide-avx512: expected a processor with CPUID faulting (cpuid_fault in /proc/cpuinfo)\n";
  [[maybe_unused]] const auto written = write(STDERR_FILENO, kMessage, sizeof(kMessage) - 1);
  _exit(2);
}

}  // namespace

extern "C" {

int sigaction(int number, const struct sigaction* action, struct sigaction* before) noexcept {
  if (number != SIGSEGV) return real_sigaction(number, action, before);
  if (before) *before = {};
  return 0;
}

sighandler_t signal(int number, sighandler_t handler) noexcept {
  if (number == SIGSEGV) return SIG_DFL;
  struct sigaction action = {}, before = {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  sigaddset(&action.sa_mask, number);
  return real_sigaction(number, &action, &before) == 0 ? before.sa_handler : SIG_ERR;
}

}  // extern "C"
