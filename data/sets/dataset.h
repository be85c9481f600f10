// Data sets as lists of images. Each layout on disk has a reader that fills the lists. A Sampler draws batches from
// them. A new layout needs a new DatasetKind and its reader, and no change elsewhere.
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
  int identity = 0;  // the person's number in the data set
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

// Lists the pictures of a split without opening them; the list of the other split stays empty. UserError, one line,
// when a folder or list is missing or malformed, an identity has no image, or training lacks a modality.
Dataset read_dataset(DatasetKind kind, const std::string& root, Split split = Split::Both);

// Draws the batches of an epoch. They depend on (seed, epoch) alone, so a run can be resumed from (epoch, batch).
class Sampler {
 public:
  virtual ~Sampler() = default;
  // The batches of an epoch (from 1), in order. A batch is a list of indices into Dataset::train.
  virtual std::vector<std::vector<int>> epoch(uint32_t epoch) const = 0;
};

}  // namespace mpanet
