// Ranks pictures by their distance from the first one: rank CHECKPOINT QUERY PICTURE...
#include <cstdio>
#include <string>
#include <vector>

#include "mpanet.hpp"

int main(int argc, char** argv) {
  if (argc < 4) {
    std::fprintf(stderr, "usage: rank CHECKPOINT QUERY PICTURE...\n");
    return 2;
  }
  try {
    const mpanet::Model model = mpanet::load(argv[1]);
    const std::vector<std::string> query = {argv[2]}, pictures(argv + 3, argv + argc);
    const mpanet::Embeddings gallery = model.embed(pictures);
    const auto matches = mpanet::rank(model.embed(query), gallery, pictures.size());
    for (const mpanet::Match& match : matches[0])
      std::printf("%.4f %s\n", static_cast<double>(match.distance), pictures[match.index].c_str());
  } catch (const mpanet::Error& error) {
    std::fprintf(stderr, "rank: %s\n", error.what());
    return 2;
  }
}
