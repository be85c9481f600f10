// What the tests of the C interface have in common: a network, loaded, and mpanet-eval's embeddings.
#pragma once
#include <doctest/doctest.h>

#include <cstring>
#include <string>
#include <vector>

#include "core/base/file.h"
#include "data/pictures/image.h"
#include "mpanet/library/mpanet.h"
#include "tests/library/drawn_network.h"
#include "tests/support/text.h"

using Numbers = std::vector<float>;

inline const bool kNoPictures = !mpanet::jpeg_supported();

inline const DrawnNetwork& network() {
  static const DrawnNetwork made(PROGRAMS);
  return made;
}
inline const DrawnNetwork::Features& expected() {
  static const DrawnNetwork::Features made = network().features();
  return made;
}

struct Loaded {
  explicit Loaded(mpanet_options options = MPANET_OPTIONS) {
    REQUIRE_MESSAGE(mpanet_load(network().checkpoint().c_str(), &options, &model) == MPANET_OK, mpanet_error());
  }
  ~Loaded() { mpanet_free(model); }
  Loaded(const Loaded&) = delete;
  Numbers embed(const std::vector<std::string>& paths) const {
    std::vector<const char*> list;
    for (const std::string& path : paths) list.push_back(path.c_str());
    Numbers rows(paths.size() * mpanet_dimension(model));
    CHECK_MESSAGE(mpanet_embed_files(model, list.data(), list.size(), rows.data(), rows.size()) == MPANET_OK,
                  mpanet_error());
    return rows;
  }
  mpanet_model* model = nullptr;
};

inline bool same_bits(const Numbers& a, const Numbers& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

// Checks that a call was refused with one line that has the words.
inline void check_refused(int code, const std::string& words) {
  const std::string text = mpanet_error();
  CHECK(code == MPANET_BAD_INPUT);
  CHECK_MESSAGE(has(text, words), text);
  CHECK(!has(text, "\n"));
}

inline void check_load_refused(const std::string& path, const mpanet_options& options, const std::string& words) {
  mpanet_model* model = reinterpret_cast<mpanet_model*>(1);
  check_refused(mpanet_load(path.c_str(), &options, &model), words);
  CHECK(model == nullptr);
}
