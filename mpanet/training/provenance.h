// Provenance of a result: build, libraries, machine and settings.
#pragma once
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "core/device.h"

namespace mpanet {

// {"program", "commit", "compiler", "build", "instruction_set", "processor", "libraries": {name: version}}. The version
// of a library that this build does not have is null.
nlohmann::ordered_json build_provenance();
// The same as lines of text, for --version.
std::string version_text(const std::string& program);

// build_provenance() with "threads", "seed", "precision", "device", "convolutions" (network/vendors.h) and "gpu"
// (its name, or null) of a run.
nlohmann::ordered_json run_provenance(int threads, uint64_t seed, const std::string& precision, Device device,
                                      const std::string& convolutions);

// The differences between two provenances that can change computed bits, one text each: "threads: 2 before, 4 now".
std::vector<std::string> provenance_differences(const nlohmann::ordered_json& before,
                                                const nlohmann::ordered_json& now);

// The provenance.json of a run that goes on; nullopt if there is none. UserError, one line with the file and the key,
// for one that record_provenance() did not write.
std::optional<nlohmann::ordered_json> read_provenance(const std::string& path);

// Writes provenance.json at `path`: the provenance at the run's start, and under "resumed" one for each resume with
// its "step". `before`: what the file of a run that goes on has. Warns of differences that can change the run's bits.
void record_provenance(const std::string& path, const nlohmann::ordered_json& now,
                       const std::optional<nlohmann::ordered_json>& before, int64_t step);

}  // namespace mpanet
