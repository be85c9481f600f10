// Checkpoints of networks that give useless embeddings.
#pragma once
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "mpanet/files/checkpoint.h"
#include "mpanet/network/engine.h"

namespace mpanet {

// Writes the model of the checkpoint `from` to `to`, which may be the same file, with `value` for each number of one
// of its tensors.
inline void save_spoiled(const std::string& from, const std::string& tensor, double value, const std::string& to) {
  const Checkpoint whole(from);
  EngineConfig config;
  config.model = whole.embedding_model();
  config.embed_batch = 1;
  const auto engine = make_engine(config);
  whole.load_embedding(*engine);
  bool found = false;
  for (const TensorInfo& info : engine->tensors()) {
    if (info.name != tensor) continue;
    engine->write(tensor, Slot::Value, std::vector<double>(static_cast<size_t>(info.count()), value).data());
    found = true;
  }
  REQUIRE(found);
  save_model(to, *engine->snapshot(), *whole.config(), 0);
}

}  // namespace mpanet
