// safetensors files: against one by the format's own library, against bytes written by hand, and every kind of wrong
// header.
#include <doctest/doctest.h>
#include <sys/resource.h>

#include <csignal>
#include <cstring>
#include <ctime>
#include <filesystem>

#include "core/base/error.h"
#include "core/base/file.h"
#include "mpanet/files/safetensors.h"
#include "tests/support/temporary_folder.h"

using namespace mpanet;

namespace {

std::string length_bytes(uint64_t length) {
  std::string bytes(8, '\0');
  for (int i = 0; i < 8; i++) bytes[i] = static_cast<char>(length >> (8 * i));
  return bytes;
}

// The error of reading a file with this header and this number of data bytes.
std::string refusal(const std::string& header, size_t data_bytes, uint64_t length_error = 0) {
  TemporaryFolder folder;
  const std::string path = folder / "x.safetensors";
  write_file(path, length_bytes(header.size() + length_error) + header + std::string(data_bytes, 'x'));
  const std::string message = error_of([&] { TensorFile file(path); });
  CHECK(message.find('\n') == message.npos);
  CHECK((message.empty() || message.starts_with(path + ": ")));
  return message.empty() ? "" : message.substr(path.size() + 2);
}

TensorSource source(std::string name, Dtype dtype, std::vector<int64_t> shape, std::vector<double> values) {
  return {std::move(name), dtype, std::move(shape),
          [values](double* out) { std::copy(values.begin(), values.end(), out); }};
}

}  // namespace

TEST_CASE("a file of the format's own library: every element type") {
  const TensorFile file(TEST_FIXTURES "/dtypes.safetensors");
  CHECK(file.tensors().size() == 7);
  CHECK(file.metadata().at("note") == "made by the safetensors library");
  CHECK(file.find("f64")->shape == std::vector<int64_t>{2, 3});
  // The values of the same elements in torch, as doubles.
  CHECK(file.read("f64") == std::vector<double>{1.0, -2.5, 3.141592653589793, 1e-300, 5e-324, -1e308});
  CHECK(file.read("f32") == std::vector<double>{0x1.99999ap-4, -0x1p-149, 0x1.fffffep+127});
  CHECK(file.read("f16") == std::vector<double>{0x1.998p-4, -65504, 0x1p-24, 0x1.ff8p-15, -0.0, 0x1.004p+0});
  CHECK(std::signbit(file.read("f16")[4]));
  CHECK(file.read("bf16") == std::vector<double>{0x1.9ap-4, -0x1.c4p+127, 0x1p-133, 256});
  CHECK(file.read("i64") == std::vector<double>{0, -7, 9007199254740991});
  CHECK(file.find("scalar")->shape.empty());
  CHECK(file.read("scalar") == std::vector<double>{42});
  CHECK(file.find("empty")->shape == std::vector<int64_t>{0, 3});
  CHECK(file.read("empty").empty());
  CHECK(file.find("absent") == nullptr);
  CHECK(error_of([&] { file.read("absent"); }).ends_with("tensor \"absent\" is missing"));
}

TEST_CASE("written bytes: sorted, aligned, nothing but the content") {
  TemporaryFolder folder;
  const std::string path = folder / "out.safetensors";
  write_safetensors(path,
                    {source("b.weight", Dtype::F32, {3}, {1, -2, 0.5}), source("count", Dtype::I64, {}, {7}),
                     source("a", Dtype::F64, {1, 2}, {1, 2})},
                    {{"z", "last"}, {"m", "first"}});
  std::string header =
      R"({"__metadata__":{"m":"first","z":"last"},"a":{"data_offsets":[0,16],"dtype":"F64","shape":[1,2]},)"
      R"("b.weight":{"data_offsets":[24,36],"dtype":"F32","shape":[3]},)"
      R"("count":{"data_offsets":[16,24],"dtype":"I64","shape":[]}})";
  while (header.size() % 8 != 0) header += ' ';
  std::string data;
  const auto append = [&](auto value) { data.append(reinterpret_cast<const char*>(&value), sizeof value); };
  append(1.0), append(2.0), append(int64_t{7}), append(1.0f), append(-2.0f), append(0.5f);
  CHECK(read_text(path) == length_bytes(header.size()) + header + data);
}

TEST_CASE("tensors longer than one chunk come back") {
  TemporaryFolder folder;
  std::vector<double> values(200001);
  for (size_t i = 0; i < values.size(); i++) values[i] = static_cast<double>(i) - 0.5;
  write_safetensors(folder / "x", {source("v", Dtype::F64, {200001}, values)}, {});
  CHECK(TensorFile(folder / "x").read("v") == values);
}

TEST_CASE("files that are none") {
  TemporaryFolder folder;
  CHECK(error_of([&] { TensorFile f(folder / "absent"); }).ends_with("absent: cannot open: No such file or directory"));
  CHECK(error_of([&] { TensorFile f(folder.path()); }).ends_with("expected a file, got a folder"));
  write_file(folder / "short", "1234567");
  CHECK(
      error_of([&] { TensorFile f(folder / "short"); }).ends_with("expected a safetensors or .pth file, got 7 bytes"));
}

TEST_CASE("lying header lengths and broken headers") {
  CHECK(refusal("{}", 0) == "");
  CHECK(refusal("{}", 0, 1) ==
        "expected a safetensors or .pth file; as safetensors its header would have 3 bytes, the file has 10 "
        "(truncated?)");
  CHECK(refusal("{}", 0, uint64_t{1} << 63).find("header would have 9223372036854775810 bytes") != std::string::npos);
  CHECK(refusal("{}", 0, ~uint64_t{0} - 2).find("header would have 18446744073709551615 bytes") != std::string::npos);
  // 40,000 tensors without elements: reading them once took quadratic time.
  std::string many = "{";
  for (int i = 0; i < 40000; i++)
    many += fmt::format(R"({}"t{}":{{"dtype":"F32","shape":[0],"data_offsets":[0,0]}})", i ? "," : "", i);
  const std::clock_t start = std::clock();
  CHECK(refusal(many + "}", 0) == "");
  CHECK(static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC < 10);
  CHECK(refusal("{]", 0) == "header: expected JSON, broken at line 1, column 2");
  CHECK(refusal("[1]", 0) == "header: expected an object, got [1]");
  CHECK(refusal(std::string(1000, '['), 0) == "header: expected at most 32 levels of nesting");
  CHECK(refusal("{\"a\":1e999}", 0) == "header: expected JSON, got a number out of range");
  CHECK(refusal("{\"\xff\":1}", 0).starts_with("header: expected JSON, broken at"));
  CHECK(refusal(R"({"__metadata__":{"a":1}})", 0) == "__metadata__: \"a\": expected a string, got 1");
  CHECK(refusal(R"({"__metadata__":3})", 0) == "__metadata__: expected an object of strings, got 3");
}

TEST_CASE("entries that contradict themselves or the file") {
  const auto entry = [](const std::string& name, const char* dtype, const char* shape, const char* offsets) {
    return fmt::format(R"("{}":{{"dtype":{},"shape":{},"data_offsets":{}}})", name, dtype, shape, offsets);
  };
  const auto one = [&](const char* dtype, const char* shape, const char* offsets, size_t bytes) {
    return refusal(fmt::format("{{{}}}", entry("w", dtype, shape, offsets)), bytes);
  };
  CHECK(one("\"F32\"", "[2]", "[0,8]", 8) == "");
  CHECK(one("\"F32\"", "[2]", "[0,8]", 7) == "tensor \"w\": data_offsets [0, 8] pass the file's 7 bytes of data");
  CHECK(one("\"F32\"", "[2]", "[0,8]", 9) == "the tensors take 8 bytes, but 9 follow the header");
  CHECK(one("\"F32\"", "[3]", "[0,8]", 8) ==
        "tensor \"w\": F32 of shape (3) take 12 bytes, data_offsets [0, 8] hold 8");
  CHECK(one("\"F32\"", "[2]", "[8,0]", 8) == "tensor \"w\": data_offsets [8, 0] pass the file's 8 bytes of data");
  CHECK(one("\"F32\"", "[2]", "[4,12]", 12) ==
        "tensor \"w\": expected its data at byte 0, right after the one before, got 4");
  CHECK(one("\"U7\"", "[2]", "[0,8]", 8) == "tensor \"w\": expected a known dtype such as F32, got \"U7\"");
  CHECK(one("4", "[2]", "[0,8]", 8) == "tensor \"w\": expected a known dtype such as F32, got 4");
  CHECK(one("\"F32\"", "[-2]", "[0,8]", 8) == "tensor \"w\": expected shape to be a list of sizes, got [-2]");
  CHECK(one("\"F32\"", "2", "[0,8]", 8) == "tensor \"w\": expected shape to be a list of sizes, got 2");
  CHECK(one("\"F32\"", "[4294967296,4294967296]", "[0,8]", 8) ==
        "tensor \"w\": shape [4294967296,4294967296] overflows");
  CHECK(one("\"F32\"", "[2]", "[0]", 8) == "tensor \"w\": expected data_offsets to be [begin, end], got [0]");
  CHECK(refusal(R"({"w":{"dtype":"F32"}})", 8) == "tensor \"w\": expected dtype, shape and data_offsets, got no shape");
  CHECK(refusal(R"({"w":{"dtype":"F32","shape":[2]}})", 8) ==
        "tensor \"w\": expected dtype, shape and data_offsets, got no data_offsets");
  CHECK(refusal(R"({"w":[1]})", 8) == "tensor \"w\": expected an object with dtype, shape and data_offsets, got [1]");
  CHECK(refusal(fmt::format("{{{},{}}}", entry("a", "\"F32\"", "[2]", "[0,8]"), entry("b", "\"F32\"", "[2]", "[4,12]")),
                12) == "tensor \"b\": expected its data at byte 8, right after the one before, got 4");
  CHECK(refusal(fmt::format("{{{},{}}}", entry("a", "\"F32\"", "[2]", "[0,8]"), entry("a", "\"F32\"", "[2]", "[0,8]")),
                8) == "header: the name \"a\" is given twice");
  CHECK(refusal(fmt::format("{{{}}}", entry("a\\nb", "\"F32\"", "[3]", "[0,8]")), 8)
            .starts_with("tensor \"a\\nb\": F32"));
}

TEST_CASE("a write that fails leaves the file before it as it was, and nothing else") {
  TemporaryFolder folder;
  const std::string path = folder / "x.safetensors";
  write_file(path, "before");
  // A limit on the size of files simulates a full disk; it needs no privileges.
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit old{};
  REQUIRE(getrlimit(RLIMIT_FSIZE, &old) == 0);
  const rlimit small{4096, old.rlim_max};
  REQUIRE(setrlimit(RLIMIT_FSIZE, &small) == 0);
  const std::string message =
      error_of([&] { write_safetensors(path, {source("v", Dtype::F64, {1000}, std::vector<double>(1000, 1.0))}, {}); });
  REQUIRE(setrlimit(RLIMIT_FSIZE, &old) == 0);
  CHECK(message == path + ": cannot write: File too large");
  CHECK(read_text(path) == "before");
  CHECK(std::distance(std::filesystem::directory_iterator(folder.path()), {}) == 1);
}
