// Devices by name, and messages for other machines.
#include <doctest/doctest.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <vector>

#include "core/base/error.h"
#include "core/context.h"
#include "core/device.h"
#include "core/upload.h"

using namespace mpanet;

namespace {

GpuSurvey machine(std::vector<Gpu> gpus, const std::string& architectures, int driver = 13000) {
  GpuSurvey survey;
  survey.gpus = std::move(gpus);
  survey.architectures = architectures;
  survey.driver = driver;
  survey.toolkit = 13000;
  return survey;
}

const Gpu kTuring{"Turing", 7, 5, size_t{8} << 30}, kAmpere{"Ampere", 8, 6, size_t{24} << 30},
    kHopper{"Hopper", 9, 0, size_t{80} << 30};

std::string refusal(const std::string& name, const GpuSurvey& survey) {
  try {
    choose_device(name, survey);
  } catch (const UserError& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("names of devices") {
  const GpuSurvey two = machine({kAmpere, kHopper}, "80-real,90-real");
  std::string why;
  CHECK(choose_device("cpu", two, &why) == Device(Backend::cpu));
  CHECK(why == "cpu");
  CHECK(choose_device("cuda", two, &why) == Device(Backend::cuda, 0));
  CHECK(why == "cuda:0 (Ampere, compute capability 8.6, 24.0 GiB)");
  CHECK(choose_device("cuda:1", two, &why) == Device(Backend::cuda, 1));
  CHECK(why == "cuda:1 (Hopper, compute capability 9.0, 80.0 GiB)");
  CHECK(choose_device("auto", two, &why) == Device(Backend::cuda, 0));
  for (const char* name : {"", "gpu", "cpu:0", "CUDA", "emu:1"})
    CHECK(refusal(name, two) == "device " + std::string(name) + ": expected cpu, emu, cuda, cuda:N or auto");
  for (const char* name : {"cuda:", "cuda:x", "cuda:-1", "cuda:1x", "cuda: 1", "cuda:99999999999"})
    CHECK(refusal(name, two) == "device " + std::string(name) + ": expected cuda:N with N from 0");
  for (const Device device : {Device(Backend::cpu), Device(Backend::cuda, 1)})
    CHECK(choose_device(name_of(device), two) == device);
#if defined(MPANET_HAS_EMU)
  CHECK(choose_device("emu", two) == Device(Backend::emu));
#else
  CHECK(refusal("emu", two) == "device emu: this program was built without the emulation (MPANET_EMU)");
#endif
}

TEST_CASE("a GPU that is not there") {
  CHECK(refusal("cuda:1", machine({kAmpere}, "80")) == "device cuda:1: there is one GPU, cuda:0");
  CHECK(refusal("cuda:2", machine({kAmpere, kAmpere}, "80")) == "device cuda:2: there are 2 GPUs, cuda:0 to cuda:1");
  GpuSurvey none = machine({}, "80", 0);
  none.problem = why_no_gpu("no CUDA-capable device is detected", none);
  CHECK(refusal("cuda", none) == "device cuda: there is no NVIDIA driver here");
  std::string why;
  CHECK(choose_device("auto", none, &why) == Device(Backend::cpu));
  CHECK(why == "cpu");  // nothing about CUDA on a machine without a card
  none.card = true;
  CHECK(choose_device("auto", none, &why) == Device(Backend::cpu));
  CHECK(why == "cpu (device cuda: there is no NVIDIA driver here)");
  const GpuSurvey old = machine({}, "80", 12020);
  CHECK(why_no_gpu("driver is insufficient", old) ==
        "the NVIDIA driver is too old: it serves CUDA up to 12.2, this program needs 13.0");
  CHECK(why_no_gpu("no CUDA-capable device is detected", machine({}, "80")) ==
        "the NVIDIA driver shows no GPU: no CUDA-capable device is detected (is CUDA_VISIBLE_DEVICES set?)");
}

TEST_CASE("a GPU that the kernels are not compiled for") {
  // Machine code runs on later chips of its major number; PTX on all later ones.
  CHECK(why_unusable(kAmpere, machine({}, "80-real")) == "");
  CHECK(why_unusable(kHopper, machine({}, "80-real,80-virtual")) == "");
  CHECK(why_unusable(kHopper, machine({}, "80")) == "");
  CHECK(why_unusable(kHopper, machine({}, "90a-real")) == "");
  CHECK(why_unusable({"", 12, 0, 0}, machine({}, "100-real,120-real")) == "");
  CHECK(why_unusable(kTuring, machine({}, "80-real,90")) ==
        "Turing has compute capability 7.5; the program's kernels are compiled for 80-real,90 "
        "(CMAKE_CUDA_ARCHITECTURES)");
  CHECK(why_unusable(kHopper, machine({}, "80-real")) != "");
  CHECK(why_unusable(kAmpere, machine({}, "89-real")) != "");
  CHECK(why_unusable({"", 10, 0, 0}, machine({}, "90a")) != "");
  // A driver older than the toolkit runs its machine code but cannot compile its PTX.
  CHECK(why_unusable(kHopper, machine({}, "90-real", 12080)) == "");
  CHECK(why_unusable(kHopper, machine({}, "80", 12080)) ==
        "Hopper has compute capability 9.0; the program has only PTX of CUDA 13.0 for it, the driver compiles PTX up "
        "to CUDA 12.8");
  // auto and cuda take the first that can be used.
  const GpuSurvey mixed = machine({kTuring, kHopper}, "90-real");
  CHECK(choose_device("auto", mixed).index == 1);
  CHECK(choose_device("cuda", mixed).index == 1);
  CHECK(refusal("cuda:0", mixed).starts_with("device cuda:0: Turing has compute capability 7.5"));
}

TEST_CASE("the architectures that a build chooses by itself serve every card") {
  for (const int capability : {75, 80, 86, 87, 88, 89, 90, 100, 103, 110, 120, 121, 130, 200}) {
    const Gpu gpu{"Card", capability / 10, capability % 10, 0};
    CHECK_MESSAGE(why_unusable(gpu, machine({}, OWN_ARCHITECTURES)) == "", capability);
  }
}

TEST_CASE("loose memory comes from the backend, exactly as large as asked") {
  Context context(Backend::cpu);
  auto* bytes = static_cast<unsigned char*>(context.arena().allocate(7));
  CHECK(reinterpret_cast<uintptr_t>(bytes) % Arena::kAlignment == 0);
  CHECK(context.arena().used() == Arena::kAlignment);
  std::memset(bytes, 1, 7);
  context.arena().release(bytes);
}

TEST_CASE("an upload on a backend without streams is a copy") {
  Context context(Backend::cpu);
  Upload upload(context, 8);
  CHECK_THROWS_WITH_AS(context.capture([] {}), doctest::Contains("cpu cannot record work"), CheckError);
  for (int round = 0; round < 2; round++) {
    std::memset(upload.host(), 3 + round, 8);
    upload.start();
    std::memset(upload.host(), 99, 8);
    CHECK(static_cast<char*>(upload.device())[7] == 3 + round);
    upload.done();
  }
  // From the caller's memory: a part of the buffer, and what is kept of the memory is let go by the next copy.
  const auto mine = std::make_shared<std::array<char, 6>>();
  mine->fill(7);
  upload.start(mine, mine->size());
  CHECK(mine.use_count() == 2);
  mine->fill(99);
  CHECK(static_cast<char*>(upload.device())[5] == 7);
  CHECK(static_cast<char*>(upload.device())[6] == 4);
  upload.start(nullptr, 0);
  CHECK(mine.use_count() == 1);
  CHECK_THROWS_WITH_AS(upload.start(mine, 9), doctest::Contains("expected at most 8 bytes, got 9"), CheckError);
}
