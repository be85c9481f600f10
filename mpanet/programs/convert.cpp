// mpanet-convert: converts weights between file formats, and lists the content of a file.
#include <algorithm>
#include <optional>

#include "core/base/command_line.h"
#include "core/base/error.h"
#include "core/base/inputs.h"
#include "core/base/json.h"
#include "core/base/output.h"
#include "core/base/program.h"
#include "core/base/quote.h"
#include "core/base/text.h"
#include "mpanet/evaluation/calibration.h"
#include "mpanet/files/checkpoint.h"
#include "mpanet/files/pth.h"
#include "mpanet/files/safetensors.h"
#include "mpanet/files/state_dict.h"
#include "mpanet/training/provenance.h"

namespace {

using namespace mpanet;
constexpr const char* kProgram = "mpanet-convert";

constexpr const char* kAbout = R"(Converts weights between PyTorch's .pth and safetensors.

  mpanet-convert runs/first/best.safetensors best.pth    for torch.load(weights_only=True) and load_state_dict()
  mpanet-convert checkpoint.pth weights.safetensors
  mpanet-convert --list checkpoint.pth)";

constexpr const char* kMore = R"(
IN is read by its content: safetensors, or .pth in the zip or the older stream format. Nothing in it is run: a .pth that
asks for more than tensors, numbers, texts, lists and dictionaries is refused.

Of a training checkpoint the network is written: its tensors without what stands before their names ("state_dict.",
"module."). Optimiser state and what lies beside the network is left. Of a file without a ResNet every tensor is written, by
its own name. Numbers keep their type and their bits.

Exit code 0: done; 2: bad input (one line on stderr says what).)";

enum class Format { Pth, Safetensors };

Format output_format(const std::string& path, const std::string& to) {
  if (to == "pth") return Format::Pth;
  if (to == "safetensors") return Format::Safetensors;
  if (!to.empty()) fail("--to: expected pth or safetensors, got {}", quote(to));
  if (path.ends_with(".safetensors")) return Format::Safetensors;
  if (path.ends_with(".pth") || path.ends_with(".pt")) return Format::Pth;
  fail("{}: expected a name that ends in .pth, .pt or .safetensors, or --to", path);
}

void list(const TensorFile& file) {
  const char* format = file.format() == TensorFile::Format::Safetensors ? "safetensors"
                       : file.format() == TensorFile::Format::Zip       ? "PyTorch, zip"
                                                                        : "PyTorch, stream";
  size_t width = 0;
  for (const auto& [name, entry] : file.tensors()) width = std::max(width, printable(name).size());
  for (const auto& [name, entry] : file.tensors())
    fmt::print("{:<{}}  {:<4}  {}\n", printable(name), width, dtype_name(entry.dtype), shape_text(entry.shape));
  for (const auto& [name, what] : file.others()) fmt::print("{}: {}\n", printable(name), printable(what));
  for (const auto& [key, text] : file.metadata())
    fmt::print("metadata {}: {}\n", printable(key), counted(text.size(), "byte"));
  fmt::print("{}: {}, {}, {} beside them\n", printable(file.path()), format, counted(file.tensors().size(), "tensor"),
             counted(file.others().size(), "value"));
}

// Pairs of a name in the new file and in the old one. Without a network: all tensors, with unchanged names.
std::vector<std::pair<std::string, std::string>> chosen_names(const TensorFile& file, std::string& prefix) {
  std::vector<std::pair<std::string, std::string>> names;
  if (!has_network(file)) {
    for (const auto& [name, entry] : file.tensors()) names.emplace_back(name, name);
    return names;
  }
  const StateDict state = find_state_dict(file);
  prefix = state.prefix;
  for (const auto& [name, in_file] : state.names)
    if (!name.starts_with("optimizer.")) names.emplace_back(in_file.substr(prefix.size()), in_file);
  return names;
}

void convert(const TensorFile& file, const std::string& out, Format format) {
  std::string prefix;
  const auto names = chosen_names(file, prefix);
  if (names.empty()) fail("{}: expected tensors, got none", file.path());
  // A file without anything else may be replaced by its converted self.
  if (names.size() < file.tensors().size() || !file.others().empty() || file.metadata().contains(kProgressKey))
    register_input(file.path(), "IN with more than the network");
  register_input(calibration_path(file.path()), "the calibration of IN");
  std::vector<TensorSource> tensors;
  for (const auto& [name, in_file] : names) {
    const TensorEntry& entry = *file.find(in_file);
    if (format == Format::Safetensors && (!is_utf8(name) || name == "__metadata__"))
      fail("{}: tensor {}: safetensors cannot have this name", file.path(), quote(name));
    tensors.push_back({name, entry.dtype, entry.shape, {}, [&file, from = in_file] { return file.read_raw(from); }});
  }
  auto metadata = file.metadata();
  metadata.erase(kProgressKey);  // training cannot be resumed from a network without optimiser state
  if (format == Format::Safetensors) {
    metadata["format"] = "pt";
    write_safetensors(out, tensors, metadata);
  } else {
    metadata.erase("format");
    write_pth(out, tensors, metadata);
  }
  keep_stdout_for({out});
  fmt::print("{}: {} written, {} not written, {} beside them not written{}\n", printable(out),
             counted(names.size(), "tensor"), file.tensors().size() - names.size(),
             counted(file.others().size(), "value"),
             prefix.empty() ? "" : fmt::format("; prefix {} stripped", quote(prefix)));
}

int run(int argc, char** argv) {
  CommandLine app(kAbout, kProgram);
  app.footer(kMore);
  app.column_width(34);
  std::string in, out, to;
  bool listed = false;
  app.add_option("IN", in, "weights to read")->required();
  app.add_option("OUT", out, "file to write; not needed with --list");
  app.add_flag("--list", listed, "print every tensor with its type and shape, and what else lies in the file");
  app.add_option("--to", to, "pth or safetensors; without it by OUT's suffix");
  app.add_version([] { return version_text(kProgram); });
  if (const auto code = parse_command_line(app, argc, argv)) return *code;
  if (out.empty() && !listed) fail("OUT is needed (see --help)");
  if (out.empty() && !to.empty()) fail("--to: only with OUT");
  const Format format = out.empty() ? Format::Safetensors : output_format(out, to);
  const TensorFile file(in);
  // The list goes where the report goes, which is not among the data.
  if (!out.empty()) convert(file, out, format);
  if (listed) list(file);
  return 0;
}

}  // namespace

int main(int argc, char** argv) { return program_main(kProgram, argc, argv, run); }
