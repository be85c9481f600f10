// The command line of mpanet-eval.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/base/command_line.h"
#include "mpanet/evaluation/protocol.h"
#include "mpanet/programs/embedding.h"

namespace mpanet {

// What the user typed; an empty text or 0: not given. check_eval_options() says which go together.
struct EvalOptions : NetworkOptions {
  std::string features, data, json, save_features, sheet;
  std::optional<uint64_t> chance;
  ProtocolOptions protocol;
  std::string distance, cmc;
  std::vector<int> ranks;
  std::vector<std::string> compared;
  std::string memory;
  std::string calibrate_ids;
  std::optional<double> calibrate_share;
  std::optional<uint64_t> calibrate_seed;
  bool per_trial = false, worst = false, rerank = false, list = false;
  bool calibrates() const { return !calibrate_ids.empty() || calibrate_share; }
};

extern const char* const kEvalAbout;  // above the options in --help
extern const char* const kEvalMore;   // below them

void add_eval_options(CommandLine& app, EvalOptions& options);
// UserError about options that do not go together, that have no effect, or that cannot be parsed. Nothing has been read
// yet.
void check_eval_options(const CommandLine& app, const EvalOptions& options);
// Parses "512M", "2G", "2GiB", "1000000" (--memory), in bytes. Throws Error for anything else.
size_t parse_bytes(const std::string& text);

}  // namespace mpanet
