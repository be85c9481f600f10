// What every data set looks like to the programs: lists of images. A reader per layout fills them; batches are drawn
// from the list by a sampler. Another layout (RegDB, LLCM, a CSV list) is another kind here and nothing elsewhere.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace mpanet {

// What a test image is for. Any: the protocol decides, by modality.
enum class Role : uint8_t { Any, Query, Gallery };

struct ImageRecord {
  std::string path;  // relative to the data set's root, with '/': cam1/0006/0001.jpg
  int identity = 0;  // the data set's own number of the person
  int camera = 0;    // from 1
  bool infrared = false;
  int label = -1;         // training: class index 0..classes-1; test: -1
  Role role = Role::Any;  // of a test image
  bool operator==(const ImageRecord&) const = default;
};

struct Dataset {
  std::string root;
  int classes = 0;                 // training identities
  std::vector<ImageRecord> train;  // by label, then camera, then path
  std::vector<ImageRecord> test;   // by ascending path
};

enum class DatasetKind { Sysu };
// "sysu". UserError that lists the known names.
DatasetKind parse_dataset_kind(std::string_view name);

enum class Split { Train, Test, Both };

// Lists the pictures of the wanted split (the other stays empty) without opening them. UserError, one line, when a
// folder or list is missing or malformed, an identity has no image, or training lacks a modality.
Dataset read_dataset(DatasetKind kind, const std::string& root, Split split = Split::Both);

// Draws the batches of an epoch. What it draws depends on (seed, epoch) alone, so (epoch, batch) is all that resuming
// needs.
class Sampler {
 public:
  virtual ~Sampler() = default;
  // Epoch from 1: each batch is a list of indices into Dataset::train, in batch order.
  virtual std::vector<std::vector<int>> epoch(uint32_t epoch) const = 0;
};

}  // namespace mpanet
