// Data sets as lists of images. Each layout on disk has a reader that fills the lists. A Sampler draws batches from
// them, a protocol chooses queries and gallery. A new layout needs a new DatasetKind and its row in the table of
// dataset.cpp, its protocol in mpanet/evaluation, and, to be drawn, its layout in data/synth.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace mpanet {

// The role of a test image. Any: the protocol chooses it by modality.
enum class Role : uint8_t { Any, Query, Gallery };

struct ImageRecord {
  std::string path;  // relative to the data set's root, with '/': cam1/0006/0001.jpg
  int identity = 0;  // the person's number in the data set
  int camera = 0;    // from 1; 0: unknown
  bool infrared = false;
  int label = -1;         // training: class index 0..classes-1; test: -1
  Role role = Role::Any;  // of a test image
  bool operator==(const ImageRecord&) const = default;
};

struct Dataset {
  std::string root;                // the folder that paths are relative to
  int classes = 0;                 // training identities
  std::vector<ImageRecord> train;  // by label, then camera, then path
  std::vector<ImageRecord> test;   // by ascending path
  // One line each about ignored input: files that are no pictures, unknown columns. A program prints each note
  // once.
  std::vector<std::string> notes;
};

enum class DatasetKind { Sysu, RegDb, Llcm, Csv };
inline constexpr DatasetKind kDatasetKinds[] = {DatasetKind::Sysu, DatasetKind::RegDb, DatasetKind::Llcm,
                                                DatasetKind::Csv};
// "sysu", "regdb", "llcm", "csv".
const char* name_of(DatasetKind kind);
// UserError that lists the known names.
DatasetKind parse_dataset_kind(std::string_view name);
// The layout of a folder (or manifest), found by its lists. UserError, which names the files of each layout, if
// unknown.
DatasetKind find_dataset_kind(const std::string& root);
// The size of the published data set, for comparison: "SYSU-MM01: 491 identities, 30,071 visible and 15,792 infrared
// images"; empty if unknown.
const char* published_counts(DatasetKind kind);

// RegDB has ten divisions of its identities into training and test; the other data sets have one.
constexpr int kRegDbSplits = 10;
constexpr int splits_of(DatasetKind kind) { return kind == DatasetKind::RegDb ? kRegDbSplits : 1; }

// Present: as Both, but a manifest may have rows of one part alone, with a note.
enum class Split { Train, Test, Both, Present };

// Lists the pictures of a part without opening them; the list of the other part stays empty. regdb_split: 1..10. `root`
// is the data set's folder; for csv it may be the manifest. Layouts with lists are read from these only;
// check_pictures() checks that the pictures exist.
//
// UserError, one line, when a folder or list is missing or malformed (with the line's number), an identity has no
// image, training has no identity in both modalities, or no query has its identity in the gallery.
Dataset read_dataset(DatasetKind kind, const std::string& root, Split split = Split::Both, int regdb_split = 1);

// The files that read_dataset() and the protocols read besides pictures: lists, the manifest, trial files. Some may be
// absent.
std::vector<std::string> dataset_lists(DatasetKind kind, const std::string& root);

// UserError if images are not on disk: it names the first, and their number.
void check_pictures(const Dataset& data, const std::vector<ImageRecord>& images);

// Draws the batches of an epoch. They depend only on (seed, epoch), so a run can be resumed from (epoch, batch).
class Sampler {
 public:
  virtual ~Sampler() = default;
  // The batches of an epoch (from 1), in order. A batch is a list of indices into Dataset::train.
  virtual std::vector<std::vector<int>> epoch(uint32_t epoch) const = 0;
};

}  // namespace mpanet
