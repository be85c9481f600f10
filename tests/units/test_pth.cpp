// .pth files: files written by PyTorch (tests/fixtures/pth), modified files, and pickles and archives made by hand.
#include <doctest/doctest.h>

#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/file.h"
#include "mpanet/files/pth.h"
#include "mpanet/files/zip_archive.h"
#include "tests/support/temporary_folder.h"

using namespace mpanet;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

const std::string kFixtures = TEST_FIXTURES "/pth/";
constexpr const char* kVersions[] = {"1.13", "2.15"};

// PyTorch's names of the types.
std::string torch_name(Dtype dtype) {
  static const std::map<Dtype, std::string> names = {
      {Dtype::F64, "float64"}, {Dtype::F32, "float32"}, {Dtype::F16, "float16"}, {Dtype::BF16, "bfloat16"},
      {Dtype::I64, "int64"},   {Dtype::I32, "int32"},   {Dtype::I16, "int16"},   {Dtype::I8, "int8"},
      {Dtype::U64, "uint64"},  {Dtype::U32, "uint32"},  {Dtype::U16, "uint16"},  {Dtype::U8, "uint8"},
      {Dtype::Bool, "bool"}};
  return names.at(dtype);
}

// As expected.json has them: {name: [type, shape, values]}.
json listed(const TensorFile& file) {
  json all = json::object();
  for (const auto& [name, entry] : file.tensors()) all[name] = {torch_name(entry.dtype), entry.shape, file.read(name)};
  return all;
}

std::map<std::string, std::string> others_of(const TensorFile& file) {
  return {file.others().begin(), file.others().end()};
}

// The error of reading the whole file, without its path; "" if it is read.
std::string refusal(const std::string& path) {
  const std::string message = error_of([&] {
    const TensorFile file(path);
    for (const auto& [name, entry] : file.tensors()) file.read_raw(name);
  });
  CHECK(message.find('\n') == message.npos);
  CHECK_MESSAGE((message.empty() || message.starts_with(path + ": ")), message);
  return message.empty() ? "" : message.substr(path.size() + 2);
}

// Unlike write_file() this does not wait for the disk, because there are many files. A file system waits when a file is
// truncated and written again, so each file is new.
void write_quickly(const std::string& path, std::string_view content) {
  fs::remove(path);
  std::ofstream(path, std::ios::binary).write(content.data(), static_cast<std::streamsize>(content.size()));
}

std::string refusal_of(std::string_view content) {
  static const TemporaryFolder folder;
  write_quickly(folder / "x.pth", content);
  return refusal(folder / "x.pth");
}

template <class T>
std::string raw(T value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

std::string text(const std::string& words) { return "X" + raw(static_cast<uint32_t>(words.size())) + words; }
std::string number(int64_t value) { return "\x8a\x08" + raw(value); }
std::string global(const std::string& module, const std::string& name) { return "c" + module + "\n" + name + "\n"; }
std::string storage(int64_t elements, const std::string& type = "FloatStorage", const std::string& key = "0") {
  return "(" + text("storage") + global("torch", type) + text(key) + text("cpu") + number(elements) + "tQ";
}
std::string numbers(const std::vector<int64_t>& values) {
  std::string all = "(";
  for (const int64_t value : values) all += number(value);
  return all + "t";
}
std::string tensor(const std::string& from, int64_t offset, const std::vector<int64_t>& shape,
                   const std::vector<int64_t>& strides) {
  return global("torch._utils", "_rebuild_tensor_v2") + "(" + from + number(offset) + numbers(shape) +
         numbers(strides) + "\x89NtR";
}

// The stream format with this object and one storage "0".
std::string stream(const std::string& object, int64_t elements, size_t bytes,
                   const std::string& keys = "]" + text("0") + "a") {
  const std::string magic = "\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";
  std::string file;
  for (const std::string& pickle : {magic, std::string("M\xe9\x03"), std::string("}"), object, keys})
    file += "\x80\x02" + pickle + ".";
  return file + raw(elements) + std::string(bytes, '\0');
}
std::string stream_of_tensor(int64_t offset, const std::vector<int64_t>& shape, const std::vector<int64_t>& strides) {
  return stream(tensor(storage(6), offset, shape, strides), 6, 24);
}
// The stream format with an object that needs no storage.
std::string stream_of(const std::string& object) {
  const std::string whole = stream(object, 0, 0, "]");
  return whole.substr(0, whole.size() - 8);
}

void replace(std::string& content, const std::string& before, const std::string& after, size_t from = 0) {
  const size_t at = content.find(before, from);
  REQUIRE(at != content.npos);
  content.replace(at, before.size(), after);
}

}  // namespace

TEST_SUITE("PyTorch's files" * doctest::skip(!zip_supported())) {
  TEST_CASE("every file that PyTorch wrote, by its own values") {
    for (const std::string version : kVersions) {
      const std::string folder = kFixtures + version + "/";
      const json expected = json::parse(read_text(folder + "expected.json"));
      CHECK(expected.size() >= 14);
      for (const auto& [file_name, tensors] : expected.items()) {
        const std::string& name = file_name;
        INFO(version << "/" << name);
        const TensorFile file(folder + name);
        CHECK(file.format() == (name.find("stream") == name.npos && name != "python2.pth"
                                    ? TensorFile::Format::Zip
                                    : TensorFile::Format::Stream));
        CHECK(listed(file) == tensors);
      }
    }
  }

  TEST_CASE("what lies beside the tensors") {
    for (const std::string version : kVersions)
      for (const char* name : {"nested.pth", "nested_stream.pth", "protocol3.pth", "protocol4.pth", "protocol5.pth"}) {
        INFO(version << "/" << name);
        const auto others = others_of(TensorFile(kFixtures + version + "/" + name));
        const std::map<std::string, std::string> expected = {{"epoch", "140"},
                                                             {"best", "0.7058"},
                                                             {"rank", "0.5"},
                                                             {"count", "-3"},
                                                             {"flag", "True"},
                                                             {"cmc", "numpy array (2) of \"f8\""},
                                                             {"loss", "0.125"},
                                                             {"name", "\"sysu\""},
                                                             {"note", "None"},
                                                             {"size", "tuple of 2"},
                                                             {"on", "True"},
                                                             {"shape", "tuple of 2"},
                                                             {"dtype", "torch.float32"},
                                                             {"big", "0x400000000000000000"},
                                                             {"negative", "-1099511627776"},
                                                             {"ids", "list of 2"},
                                                             {"list", "list of 3"},
                                                             {"5", "\"a key that is a number\""},
                                                             {"device", "torch.device \"cpu\""},
                                                             {"raw", "5 bytes"},
                                                             {"optimizer.param_groups.0.lr", "0.001"}};
        for (const auto& [name, value] : expected) {
          const std::string& key = name;
          INFO(key);
          REQUIRE(others.contains(key));
          CHECK(others.at(key) == value);
        }
        CHECK(others.at("scheduler.milestones.80") == "1");
      }
  }

  TEST_CASE("names that build no weights are refused by their name, and nothing runs") {
    const std::map<std::string, std::string> wanted = {{"system", "\"posix.system\""},
                                                       {"eval", "eval\""},
                                                       {"import", "__import__\""},
                                                       {"path", "\"posixpath.join\""},
                                                       {"getattr", "getattr\""},
                                                       {"inner", "exec\""},
                                                       {"module", "\"torch.nn.modules.linear.Linear\""}};
    for (const std::string version : kVersions) {
      const std::string folder = kFixtures + version + "/refused/";
      for (const auto& [file, global] : wanted)
        for (const char* end : {".pth", "_stream.pth"}) {
          const std::string& name = file;
          const std::string message = refusal(folder + name + end);
          INFO(name << end << ": " << message);
          CHECK(message.starts_with("refused: its pickle asks for "));
          CHECK(message.find(global) != message.npos);
        }
      CHECK(refusal(folder + "module.pth").ends_with("if a whole module was saved, save its state_dict()"));
      CHECK(refusal(folder + "sparse.pth").find("\"torch._utils._rebuild_sparse_tensor\"") != std::string::npos);
      CHECK(refusal(folder + "script.pth") ==
            "expected weights, got a TorchScript program (torch.jit.save); save its state_dict()");
      CHECK(refusal(folder + "pickle.pth") ==
            "expected what torch.save() writes, got a pickle that begins with dictionary of 1");
    }
    CHECK(!fs::exists("ran"));
  }

  TEST_CASE("cut anywhere: refused in one line") {
    for (const std::string version : kVersions)
      for (const char* name : {"/small.pth", "/small_stream.pth", "/deflated.pth", "/zip64.pth", "/python2.pth"}) {
        const std::string whole = read_text(kFixtures + version + name);
        for (size_t size = 0; size < whole.size(); size++)
          CHECK_MESSAGE(refusal_of(std::string_view(whole).substr(0, size)) != "", name << " of " << size << " bytes");
        CHECK(refusal_of(whole + "x") != "");
      }
  }

  TEST_CASE("a flipped bit: what was there before, or one line") {
    const TemporaryFolder folder;
    const std::string path = folder / "x.pth";
    for (const std::string version : kVersions)
      for (const std::string name :
           {"/small.pth", "/small_stream.pth", "/protocol4_stream.pth", "/zip64.pth", "/python2.pth"}) {
        const std::string whole = read_text(kFixtures + version + name);
        const json expected = listed(TensorFile(kFixtures + version + name));
        for (size_t at = 0; at < whole.size(); at++)
          for (int bit = 0; bit < 8; bit++) {
            std::string changed = whole;
            changed[at] = static_cast<char>(changed[at] ^ 1 << bit);
            write_quickly(path, changed);
            if (refusal(path) != "") continue;
            // Checksums guard the zip format. The stream format has none.
            if (name == "/small.pth" || name == "/zip64.pth")
              CHECK_MESSAGE(listed(TensorFile(path)) == expected, name << ", byte " << at << ", bit " << bit);
          }
      }
  }

  TEST_CASE("a checksum of 0: only an archive without any checksum is read without comparing") {
    const std::string whole = read_text(kFixtures + "1.13/small.pth");
    std::vector<size_t> entries;  // of the directory
    for (size_t at = whole.find("PK\1\2"); at != whole.npos; at = whole.find("PK\1\2", at + 4)) entries.push_back(at);
    REQUIRE(entries.size() > 2);
    const auto without = [&](const std::vector<size_t>& cleared) {
      std::string content = whole;
      for (const size_t at : cleared) content.replace(at + 16, 4, 4, '\0');
      return content;
    };
    for (const size_t at : entries)
      if (whole.find("small/version", at) != at + 46)  // which nobody reads
        CHECK(refusal_of(without({at})).find("damaged, its checksum is ") != std::string::npos);
    const TemporaryFolder folder;
    write_file(folder / "x.pth", without(entries));
    CHECK(listed(TensorFile(folder / "x.pth")) == listed(TensorFile(kFixtures + "1.13/small.pth")));
  }

  TEST_CASE("two archives' worth of damage: overlaps, names given twice, encryption") {
    const std::string whole = read_text(kFixtures + "1.13/small.pth");
    const size_t directory = whole.find("PK\1\2"), second = whole.find("PK\1\2", directory + 4);
    const auto changed = [&](auto change) {
      std::string content = whole;
      change(content);
      return refusal_of(content);
    };
    // The second entry's header has the first one's offset.
    CHECK(changed([&](std::string& c) {
            c.replace(second + 42, 4, c.substr(directory + 42, 4));
          }).find("its header has another name than the directory") != std::string::npos);
    CHECK(changed([&](std::string& c) { c[directory + 8] = 1; }).ends_with("expected plain data, got encrypted ones"));
    CHECK(changed([&](std::string& c) {
            c[directory + 10] = 12;
          }).ends_with("expected stored or deflated data, got method 12"));
    CHECK(changed([&](std::string& c) { c[directory + 22] = 1; }).find("stored, but ") != std::string::npos);
    CHECK(changed([&](std::string& c) {
            c.replace(directory + 20, 8, raw(uint32_t{4000000000}) + raw(uint32_t{4000000000}));
          }).find("reach into the directory") != std::string::npos);
    CHECK(changed([&](std::string& c) { c[whole.rfind("PK\6\6") + 32] = 99; }).find("cannot hold 99 entries") !=
          std::string::npos);
    CHECK(changed([&](std::string& c) {
            replace(c, "small/data.pkl", "small/data.pkk");
          }).find("its header has another name") != std::string::npos);
  }
}

TEST_CASE("tensors that do not lie in their storage") {
  CHECK(refusal_of(stream_of_tensor(0, {2, 3}, {3, 1})) == "");
  CHECK(refusal_of(stream_of_tensor(1, {2, 2}, {3, 1})) == "");
  CHECK(refusal_of(stream_of_tensor(6, {0}, {1})) == "");
  for (const auto& [offset, shape, strides] :
       std::vector<std::tuple<int64_t, std::vector<int64_t>, std::vector<int64_t>>>{
           {1, {2, 3}, {3, 1}},
           {0, {7}, {1}},
           {6, {}, {}},
           {0, {2}, {6}},
           {7, {0}, {1}},
           {-1, {1}, {1}},
           {0, {INT64_MAX, 2}, {1, 1}},
           {0, {2}, {INT64_MAX}},
           {INT64_MAX, {2}, {1}},
           {0, {3, 3, 3}, {INT64_MAX, INT64_MAX, INT64_MAX}}}) {
    const std::string refused = refusal_of(stream_of_tensor(offset, shape, strides)), text = shape_text(shape);
    CHECK_MESSAGE(refused.find("reaches beyond its storage of 6 elements") != std::string::npos, text);
  }
  CHECK(refusal_of(stream_of_tensor(0, {-1}, {1})) == "tensor \"tensor\": expected a shape, got -1");
  CHECK(refusal_of(stream_of_tensor(0, {1}, {-1})) == "tensor \"tensor\": expected strides, got -1");
  CHECK(refusal_of(stream_of_tensor(0, {1, 1}, {1})) == "tensor \"tensor\": 2 sizes, but 1 strides");
  CHECK(refusal_of(stream_of_tensor(0, std::vector<int64_t>(65, 1), std::vector<int64_t>(65, 1))) ==
        "tensor \"tensor\": expected a shape, got tuple of 65");
  // Strides of zero: a petabyte of one element.
  CHECK(refusal_of(stream_of_tensor(0, {1 << 24, 1 << 24}, {0, 0})).find("would expand to more than 16 times") !=
        std::string::npos);
  CHECK(refusal_of(stream_of_tensor(0, {1000, 1000}, {0, 0})) == "");
}

TEST_CASE("storages that contradict the file") {
  const auto object = tensor(storage(6), 0, {6}, {1});
  CHECK(refusal_of(stream(object, 5, 24)) == "storage \"0\": expected 6 elements, got 5");
  CHECK(refusal_of(stream(object, 6, 23)).starts_with("truncated: storage \"0\" would have 6 elements at byte "));
  CHECK(refusal_of(stream(object, 6, 25)) == "1 byte too many after the last storage");
  CHECK(refusal_of(stream(object, 6, 24, "]")).ends_with(" bytes too many after the last storage"));
  CHECK(refusal_of(stream(object, 6, 24, "]" + text("1") + "a")) == "storage \"1\" belongs to no tensor");
  CHECK(refusal_of(stream(tensor(storage(INT64_MAX), 0, {6}, {1}), INT64_MAX, 24)).starts_with("truncated: storage"));
  CHECK(refusal_of(stream(tensor(storage(-1), 0, {6}, {1}), -1, 24)) ==
        "storage \"0\": expected a number of elements, got -1");
  CHECK(refusal_of(stream("(" + object + tensor(storage(6, "LongStorage"), 0, {6}, {1}) + "t", 6, 24)) ==
        "storage \"0\" has two types or sizes");
  CHECK(refusal_of(stream_of(object)) == "storage \"0\" is missing");
}

TEST_CASE("pickles that take more than is there") {
  const auto in_pickle = [](const std::string& object) {
    const std::string message = refusal_of(stream_of(object));
    return message.substr(std::min(message.find(": ") + 2, message.size()));
  };
  CHECK(refusal_of(stream_of("N")) == "");
  CHECK(in_pickle("").ends_with("the stack is empty"));
  CHECK(in_pickle("0").ends_with("the stack is empty"));
  CHECK(in_pickle("N(0").ends_with("the stack is empty"));  // no value above the mark
  CHECK(in_pickle("t").ends_with("there is no mark on the stack"));
  CHECK(in_pickle("NNa").ends_with("expected a list to add to"));
  CHECK(in_pickle(")Na").ends_with("expected a list to add to"));
  CHECK(in_pickle("](Nu").ends_with("expected a dictionary to add to"));
  CHECK(in_pickle("}(Nu").ends_with("a key without a value"));
  CHECK(in_pickle("h\x05").ends_with("value 5 was not remembered"));
  CHECK(in_pickle("Nr\xff\xff\xff\xff").ends_with("remembers value 4294967295 too early"));
  CHECK(in_pickle("X\xff\xff\xff\xff").ends_with("4294967295 bytes are not there"));
  CHECK(in_pickle(std::string("\x8d") + raw(uint64_t{1} << 62)).ends_with("bytes are not there"));
  CHECK(in_pickle("\x8b\xff\xff\xff\x7f").ends_with("2147483647 bytes are not there"));
  CHECK(in_pickle("NNR").ends_with("expected a function and its arguments"));
  CHECK(in_pickle("NNb").ends_with("a state for something that has none"));
  CHECK(in_pickle(global("torch", "FloatStorage") + ")R").ends_with("torch.FloatStorage is no function"));
  CHECK(in_pickle("NQ").ends_with("(a module saved with its source code is refused)"));
  CHECK(in_pickle("I1\n").ends_with("opcode 0x49 builds no weights"));
  CHECK(refusal_of(stream_of(global("os", "system"))) ==
        "refused: its pickle asks for \"os.system\", which builds no tensor, number, text, list or dictionary");
  CHECK(refusal_of(stream_of(text("os") + text("system") + "\x93"))
            .starts_with("refused: its pickle asks for \"os.system\""));
  CHECK(refusal_of(stream_of(global("torch", "load"))).starts_with("refused: its pickle asks for \"torch.load\""));
  // PyTorch's functions are only allowed with the arguments that PyTorch writes.
  const std::string from_type = global("torch._tensor", "_rebuild_from_type_v2");
  CHECK(in_pickle(from_type + "(" + from_type + global("torch", "Tensor") + ")NtR")
            .ends_with("expected one of PyTorch's functions that make a tensor"));
}

TEST_CASE("dictionaries that hold themselves, and small pickles that would become large") {
  // A list that contains itself; 60 levels of dictionaries that each contain the next one twice.
  CHECK(refusal_of(stream_of("]q\x01h\x01"
                             "a")) == "");
  std::string doubled = "}";
  for (int level = 0; level < 20; level++) doubled = "}(K\x01" + doubled + "q\x01K\x02h\x01u";
  CHECK(refusal_of(stream_of(doubled)) == "");
  std::string deep = "N";
  for (int level = 0; level < 40; level++) deep = "]" + deep + "a";
  CHECK(refusal_of(stream_of(deep)) == "expected at most 32 levels of dictionaries and lists");
  CHECK(refusal_of(stream_of(std::string(100000, ']') + std::string(99999, 'a'))) ==
        "expected at most 32 levels of dictionaries and lists");
  const std::clock_t start = std::clock();
  CHECK(refusal_of(stream_of(std::string(3'000'000, ']'))).ends_with("more than 2000000 values"));
  CHECK(refusal_of(stream_of("]q\x01(" + std::string(1'000'000, 'N') + "e" +
                             [] {
                               std::string calls;
                               for (int i = 0; i < 1000; i++) calls += global("collections", "OrderedDict") + "h\x01R";
                               return calls;
                             }()))
            .ends_with("asks for too many copies"));
  CHECK(static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC < 10);
}
