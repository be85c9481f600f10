// mpanet-convert as a program: both formats in both directions; bad input gives one line and leaves no files.
#include <doctest/doctest.h>

#include <filesystem>

#include "core/base/file.h"
#include "mpanet/files/pth.h"
#include "mpanet/files/safetensors.h"
#include "mpanet/files/zip_archive.h"
#include "tests/support/shell.h"
#include "tests/support/temporary_folder.h"

using namespace mpanet;
namespace fs = std::filesystem;

namespace {

const std::string kFixtures = TEST_FIXTURES "/pth/2.15/";

Result run(const std::string& arguments) { return run_program("mpanet-convert", arguments); }
void check_refused(const std::string& arguments, const std::string& words) {
  CHECK(not_refused("mpanet-convert", arguments, words) == "");
}

void check_same(const std::string& one, const std::string& other) {
  const TensorFile a(one), b(other);
  REQUIRE(a.tensors().size() == b.tensors().size());
  for (const auto& [tensor, entry] : a.tensors()) {
    const std::string& name = tensor;
    INFO(name);
    REQUIRE(b.find(name) != nullptr);
    CHECK(entry.dtype == b.find(name)->dtype);
    CHECK(entry.shape == b.find(name)->shape);
    CHECK(a.read_raw(name) == b.read_raw(name));
  }
}

}  // namespace

TEST_SUITE("mpanet-convert" * doctest::skip(!zip_supported())) {
  TEST_CASE("both formats, both ways, to the bit") {
    const TemporaryFolder folder;
    const std::string safetensors = folder / "a.safetensors", pth = folder / "b.pth";
    for (const char* name : {"zip.pth", "stream.pth", "deflated.pth"}) {
      REQUIRE(run(kFixtures + name + " " + safetensors).code == 0);
      check_same(kFixtures + name, safetensors);
      REQUIRE(run(safetensors + " " + pth).code == 0);
      check_same(safetensors, pth);
      CHECK(TensorFile(pth).format() == TensorFile::Format::Zip);
      // The bytes depend only on the content. The order of PyTorch's dictionary is not part of it.
      REQUIRE(run(pth + " " + (folder / "again.pth")).code == 0);
      CHECK(read_text(folder / "again.pth") == read_text(pth));
      REQUIRE(run(pth + " --to safetensors " + (folder / "again")).code == 0);
      CHECK(read_text(folder / "again") == read_text(safetensors));
    }
    const Result types = run(TEST_FIXTURES "/dtypes.safetensors " + pth);
    CHECK_MESSAGE(types.code == 0, types.err);
    check_same(TEST_FIXTURES "/dtypes.safetensors", pth);
    CHECK(TensorFile(pth).metadata().at("note") == "made by the safetensors library");
    // The output replaces the input.
    REQUIRE(run(pth + " --to safetensors " + pth).code == 0);
    check_same(TEST_FIXTURES "/dtypes.safetensors", pth);
  }

  TEST_CASE("--list: every tensor, and what lies beside them") {
    const Result result = run("--list " + kFixtures + "nested_stream.pth");
    REQUIRE(result.code == 0);
    for (const char* words :
         {"state_dict.module.0.weight               F32   (2, 3)\n", "state_dict.module.1.num_batches_tracked",
          "I64   ()\n", "\nepoch: 140\n", "\ncmc: numpy array (2) of \"f8\"\n", ": PyTorch, stream, 19 tensors, "})
      CHECK_MESSAGE(has(result.out, words), words << result.out);
    CHECK(has(run("--list " TEST_FIXTURES "/dtypes.safetensors").out, ": safetensors, 7 tensors, 0 values"));
  }

  TEST_CASE("the network of a training checkpoint, without what stands before its names") {
    const TemporaryFolder folder;
    const std::string in = folder / "in.safetensors", out = folder / "out.pth";
    const auto one = [](const std::string& name) {
      return TensorSource{name, Dtype::F32, {1}, [](double* to) { *to = 5; }};
    };
    write_safetensors(in,
                      {one("state_dict.module.conv1.weight"), one("state_dict.module.fc.weight"), one("optimizer.x")},
                      {{"mpanet.progress", "{}"}, {"kept", "yes"}});
    const std::string before = read_text(in);
    for (const std::string& same : {in, folder.path() + "/./in.safetensors"})
      check_refused("'" + in + "' '" + same + "'",
                    same + ": cannot write: it is IN with more than the network, which this program reads");
    CHECK(read_text(in) == before);
    const std::string calibration = in + ".calibration.json";
    write_file(calibration, "{}");
    check_refused("--to pth '" + in + "' '" + calibration + "'",
                  calibration + ": cannot write: it is the calibration of IN, which this program reads");
    CHECK(read_text(calibration) == "{}");
    const Result result = run(in + " " + out);
    CHECK(result.out == out +
                            ": 2 tensors written, 1 not written, 0 values beside them not written; prefix "
                            "\"state_dict.module.\" stripped\n");
    const TensorFile file(out);
    CHECK(file.tensors().size() == 2);
    CHECK(file.find("conv1.weight") != nullptr);
    CHECK(file.find("fc.weight") != nullptr);
    CHECK(file.metadata() == std::map<std::string, std::string>{{"kept", "yes"}});
  }

  TEST_CASE("to stdout: the data alone, the report on stderr") {
    const TemporaryFolder folder;
    const std::string small = kFixtures + "small.pth ", out = folder / "out.pth";
    REQUIRE(run(small + out).code == 0);
    for (const char* path : {"/dev/stdout", "/proc/self/fd/1", "/dev/fd/3 3>&1"}) {
      const Result result = run("--list --to pth " + small + path);
      CHECK(result.code == 0);
      CHECK(result.out == read_text(out));
      CHECK(has(result.err, "tensors written"));
      CHECK(has(result.err, ": PyTorch, zip, "));
    }
  }

  TEST_CASE("bad input") {
    const TemporaryFolder folder;
    const std::string small = kFixtures + "small.pth", out = folder / "out.pth";
    check_refused("", "IN is required");
    check_refused(small, "OUT is needed");
    check_refused(small + " " + (folder / "out"), "expected a name that ends in .pth, .pt or .safetensors, or --to");
    check_refused(small + " --to onnx " + out, "--to: expected pth or safetensors, got \"onnx\"");
    check_refused("--list --to pth " + small, "--to: only with OUT");
    check_refused((folder / "absent.pth") + " " + out, "absent.pth: cannot open: No such file or directory");
    check_refused(folder.path() + " " + out, "expected a file, got a folder");
    check_refused(small + " /nowhere/out.pth", "/nowhere/out.pth: cannot write: there is no folder /nowhere");
    for (const char* name : {"system", "eval", "import", "path", "inner"})
      check_refused(kFixtures + "refused/" + name + ".pth " + out, "refused: its pickle asks for ");
    check_refused("--list " + kFixtures + "refused/module.pth", "\"torch.nn.modules.linear.Linear\"");
    check_refused(kFixtures + "untyped.pth " + out, "expected a type that .pth files have a storage for, got U16");
    for (const char* name : {"__metadata__", "a\xff"}) {
      write_pth(folder / "named.pth", {{name, Dtype::F32, {1}, [](double* to) { *to = 5; }}}, {});
      check_refused((folder / "named.pth") + " " + (folder / "named.safetensors"), "safetensors cannot have this name");
      fs::remove(folder / "named.pth");
    }
    CHECK(run(kFixtures + "untyped.pth " + (folder / "untyped.safetensors")).code == 0);
    fs::remove(folder / "untyped.safetensors");
    const std::string whole = read_text(small);
    for (const size_t size : {size_t{0}, size_t{3}, whole.size() / 2, whole.size() - 1}) {
      write_file(folder / "cut.pth", whole.substr(0, size));
      check_refused((folder / "cut.pth") + " " + out, "cut.pth: ");
    }
    fs::remove(folder / "cut.pth");
    CHECK(fs::is_empty(folder.path()));
    CHECK(!fs::exists("ran"));
    const Result full = run(small + " --to pth /dev/full");
    CHECK(full.code == 2);
    CHECK(has(full.err, "/dev/full: cannot write: No space left on device"));
  }
}

TEST_CASE("without zlib: one line for PyTorch's files" * doctest::skip(zip_supported())) {
  const TemporaryFolder folder;
  const std::string words = "this build has no zlib, which PyTorch's files need (build with -DMPANET_ZLIB=ON)";
  check_refused(TEST_FIXTURES "/pth/1.13/small.pth " + (folder / "x.safetensors"), words);
  check_refused(TEST_FIXTURES "/dtypes.safetensors " + (folder / "x.pth"), words);
  CHECK(std::filesystem::is_empty(folder.path()));
}
