// scripts/card and scripts/build on simulated machines with and without an NVIDIA card: shell scripts replace NVIDIA's
// tools and cmake.
#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>

#include "tests/support/process.h"
#include "tests/support/stand_ins.h"
#include "tests/support/text.h"

namespace {

struct Machine : StandIns {
  explicit Machine(const std::string& cards) {
    write("cmake", "echo \"$@\" >>" + *this / "calls");
    if (!cards.empty()) write("nvidia-smi", "printf '" + cards + "'");
    write("nvcc", "for a in 75 80 90 120; do echo compute_$a; done");
  }
  std::string calls() const { return mpanet::read_text(*this / "calls"); }
};

struct Run {
  int code;
  std::string out, err;
};

// Runs a script with the simulated machine's tools first in PATH. Of the variables that the scripts read it has only
// the given ones: others may be set in the environment of the tests, for the tests' own build.
Run run(const Machine& machine, const std::string& script, const std::vector<std::string>& arguments = {},
        const std::vector<std::string>& variables = {}) {
  std::vector<std::string> all = {
      "/usr/bin/env",  "-u", "CUDACXX",        "-u",
      "MPANET_WERROR", "-u", "MPANET_LIBRARY", "PATH=" + machine.path() + ":" + std::getenv("PATH")};
  all.insert(all.end(), variables.begin(), variables.end());
  all.push_back(SOURCE_DIR "/scripts/" + script);
  all.insert(all.end(), arguments.begin(), arguments.end());
  Process process(all);
  const int code = process.wait();
  return {code, process.out(), process.err()};
}

TEST_CASE("what a build needs to know of the cards here") {
  const Machine machine("Card A, 9.0, 580.1\\nCard B, 8.6, 580.1\\nCard C, 9.0, 580.1\\n");
  Run found = run(machine, "card");
  CHECK(found.code == 0);
  CHECK(found.out == "Card A\n9.0\n580.1\n" + machine / "nvcc" + "\n90-real;120-virtual\n");
  found = run(machine, "card", {"--no-nvcc"});
  CHECK(found.out == "Card A\n9.0\n580.1\n\n\n");
  found = run(Machine("Old, 6.1, 580.1\\n"), "card");
  CHECK(found.code == 1);
  CHECK(has(found.err, "no longer compiles for compute capability 6.1"));
  Machine broken("");
  broken.write("nvidia-smi", "echo the driver does not answer; exit 9");
  found = run(broken, "card");
  CHECK(found.code == 1);
  CHECK(found.err == "nvidia-smi: the driver does not answer\n");
}

TEST_CASE("a build is for the card here where no preset is asked for") {
  const Machine machine("Card A, 9.0, 580.1\\n");
  const Run built = run(machine, "build", {"mpanet-train"});
  CHECK(built.code == 0);
  CHECK(built.out == "building for the CPU and for Card A (nvcc: " + machine / "nvcc" + ", architecture 90-real)\n");
  CHECK(machine.calls() == "--preset cpu -DMPANET_CUDA=ON -DCMAKE_CUDA_COMPILER=" + machine / "nvcc" +
                               " -DCMAKE_CUDA_ARCHITECTURES=90-real\n--build --preset cpu --target mpanet-train\n");
  const Machine other("Card A, 9.0, 580.1\\n");
  CHECK(run(other, "build", {"--preset", "cpu"}).out.empty());
  CHECK(other.calls() == "--preset cpu\n--build --preset cpu\n");
}

TEST_CASE("warnings are errors, and the library is built, only for whoever asks for it") {
  const Machine machine("");
  CHECK(run(machine, "build", {"--preset", "debug"}, {"MPANET_WERROR=ON"}).code == 0);
  CHECK(machine.calls() == "--preset debug -DMPANET_WERROR=ON\n--build --preset debug\n");
  const Machine other("");
  CHECK(run(other, "build", {"--preset", "cpu"}, {"MPANET_WERROR=", "MPANET_LIBRARY=ON"}).code == 0);
  CHECK(other.calls() == "--preset cpu -DMPANET_LIBRARY=ON\n--build --preset cpu\n");
}

TEST_CASE("without a card nothing is said about any") {
  Machine machine("");
  machine.write("nvidia-smi", "exit 9");
  const Run built = run(machine, "build");
  CHECK(built.code == 0);
  CHECK(built.out.empty());
  CHECK(built.err.empty());
  CHECK(machine.calls() == "--preset cpu\n--build --preset cpu\n");
}

TEST_CASE("an nvcc that does not work leaves a build for the CPU, and says why") {
  Machine machine("Card A, 9.0, 580.1\\n");
  machine.write("cmake", "echo \"$@\" >>" + machine / "calls" +
                             "; case \"$*\" in *CUDA=ON*) echo unsupported GNU version >&2; exit 1;; esac");
  const Run built = run(machine, "build");
  CHECK(built.code == 0);
  CHECK(has(built.err, "    unsupported GNU version\n"));
  CHECK(has(built.err, "building for the CPU alone"));
  CHECK(has(machine.calls(), "--preset cpu -DMPANET_CUDA=OFF\n--build --preset cpu\n"));
}

// The case that apt offers only the -dev package, because the library is already installed in /usr.
TEST_CASE("packages unpacked into a folder: links to a library lead to it, also to one that is installed") {
  const Machine machine("");
  machine.write("dpkg-query", "exit 1");
  machine.write("apt-get", R"sh(case "$*" in
    *-s*) echo "Inst libx-dev (1.0 Debian [amd64])" ;;
    *download*)
      libraries=usr/lib/$(g++ -print-multiarch)
      mkdir -p x/DEBIAN x/$libraries/pkgconfig
      printf 'Package: libx-dev\nVersion: 1.0\nArchitecture: all\nMaintainer: x\nDescription: x\n' >x/DEBIAN/control
      ln -s libc.so.6 x/$libraries/libinstalled.so
      ln -s libnowhere.so.1 x/$libraries/libnowhere.so
      echo 'prefix=/usr' >x/$libraries/pkgconfig/x.pc
      echo 'set(X "/usr") set(Y "/usr/include") set(Z "/usrx")' >x/$libraries/xConfig.cmake
      dpkg-deb --build x . >&2 && rm -r x ;;
  esac)sh");
  const TemporaryFolder folder;
  const std::string into = folder / "packages";
  const Run unpacked = run(machine, "install-packages", {"--into", into});
  CHECK(unpacked.code == 0);
  CHECK(unpacked.out == "unpacking libx-dev into " + into + "\ndone; now: source " + into + "/environment\n");
  namespace fs = std::filesystem;
  int seen = 0;
  for (const auto& file : fs::recursive_directory_iterator(into)) {
    const std::string name = file.path().filename();
    if (name == "libinstalled.so") CHECK((++seen, fs::exists(file.path())));
    if (name == "libnowhere.so") CHECK((++seen, fs::read_symlink(file.path()) == "libnowhere.so.1"));
    if (name == "xConfig.cmake")
      CHECK((++seen, mpanet::read_text(file.path()) ==
                         "set(X \"" + into + "/usr\") set(Y \"" + into + "/usr/include\") set(Z \"/usrx\")\n"));
    if (name == "x.pc") CHECK((++seen, mpanet::read_text(file.path()) == "prefix=" + into + "/usr\n"));
  }
  CHECK(seen == 4);
}

}  // namespace
