// mpanet-export: the network of a checkpoint in a format of other programs.
#include <tuple>

#include "core/base/command_line.h"
#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/inputs.h"
#include "core/base/number.h"
#include "core/base/output.h"
#include "core/base/program.h"
#include "core/base/progress.h"
#include "core/base/sha256.h"
#include "core/base/text.h"
#include "mpanet/evaluation/calibration.h"
#include "mpanet/export/onnx_model.h"
#include "mpanet/network/engine.h"
#include "mpanet/training/provenance.h"

namespace {

using namespace mpanet;
constexpr const char* kProgram = "mpanet-export";

constexpr const char* kAbout = R"(Writes the network of a checkpoint as an ONNX model.

  mpanet-export --checkpoint runs/first/best.safetensors --to onnx best.onnx
  mpanet-export --checkpoint runs/first/best.safetensors --to onnx best.onnx --include pixels,l2)";

constexpr const char* kMore = R"(
The model computes embeddings: operator set 17, float32, any number of pictures at a time. Its input is "pictures", its
output "embeddings".

  --include pixels   the input is uint8 (N, height, width, 3) in RGB, and the model scales and normalises it;
                     without it the input is float (N, 3, height, width), normalised
  --include l2       the output is L2-normalised

The model's metadata (mpanet.included, mpanet.input, mpanet.output) says what is inside. Pictures have to be resized to
the network's size before.

Exit code 0: done; 2: bad input (one line on stderr says what).)";

struct ExportOptions {
  std::string checkpoint, to, out, size;
  std::vector<std::string> include;
};

// The pictures' size: --size, that of the training, or the default, about which a line is said.
void set_size(const ExportOptions& options, const Checkpoint& checkpoint, OnnxOptions& made) {
  ModelConfig model = checkpoint.embedding_model();
  if (!options.size.empty()) {
    const auto size = parse_size(options.size);
    if (!size || size->first > 9999 || size->second > 9999)
      fail("--size: expected HEIGHTxWIDTH such as 384x128, got {}", quote(options.size));
    std::tie(model.height, model.width) = *size;
  } else if (!checkpoint.config()) {
    note(fmt::format("{}: warning: {} does not say for which pictures it was trained: {}x{} is assumed; --size sets it",
                     kProgram, options.checkpoint, model.height, model.width));
  }
  check_image_size(model);
  made.height = model.height;
  made.width = model.width;
}

void write_model(const ExportOptions& options) {
  require_onnx();
  if (options.checkpoint.empty()) fail("--checkpoint is needed (see --help)");
  if (options.out.empty()) fail("OUT is needed (see --help)");
  if (options.to.empty()) fail("--to is needed: onnx");
  register_input(options.checkpoint, "--checkpoint");
  register_input(calibration_path(options.checkpoint), "the calibration");
  OutputFile file(options.out, OutputFile::Open::Later);
  keep_stdout_for({options.out});
  const Checkpoint checkpoint(options.checkpoint);
  OnnxOptions made;
  set_size(options, checkpoint, made);
  for (const std::string& part : options.include) (part == "pixels" ? made.pixels : made.l2) = true;
  made.checkpoint_sha256 = sha256_of_file(options.checkpoint);
  const std::string bytes = onnx_model(checkpoint, made);
  write_file(file, bytes);
  fmt::print("{}: {}, pictures {}x{}, {}\n", printable(options.out), format_bytes(static_cast<double>(bytes.size())),
             made.height, made.width,
             options.include.empty() ? std::string("nothing included") : join(options.include) + " included");
}

int run(int argc, char** argv) {
  CommandLine app(kAbout, kProgram);
  app.footer(kMore);
  app.column_width(34);
  ExportOptions options;
  app.add_option("OUT", options.out, "file to write");
  app.add_option("--checkpoint", options.checkpoint,
                 "last or best of a run, or other weights with the authors' names: safetensors or .pth");
  app.add_option("--to", options.to, "the format: onnx")->one_of({"onnx"});
  app.add_list("--include", options.include, "pixels, l2, or both: what the model does itself", {"pixels", "l2"});
  app.add_option("--size", options.size, "HEIGHTxWIDTH of the pictures; without it as in training");
  app.add_version([] { return version_text(kProgram); });
  if (const auto code = parse_command_line(app, argc, argv)) return *code;
  write_model(options);
  return 0;
}

}  // namespace

int main(int argc, char** argv) { return program_main(kProgram, argc, argv, run); }
