// Makes a CSV manifest (manifest.h) of an ordinary folder tree.
#pragma once
#include <optional>
#include <string>
#include <vector>

namespace mpanet {

struct ImportOptions {
  std::string root;                            // the folder of the tree
  std::string pattern;                         // "{modality}/{identity}_c{camera}_*.jpg"
  std::string out;                             // the manifest; empty: manifest.csv in the folder
  std::vector<std::string> visible, infrared;  // further words for the modalities, besides the known ones
  std::vector<int> infrared_cameras;           // without {modality}: the cameras that are infrared
  // Without {split}: the fraction of the identities that is for the test, 0.5 if not given. 0: all are for training, 1:
  // all for the test.
  std::optional<double> test_share;
  bool query_visible = false;  // the test's queries are its visible images instead of its infrared images
};

// A report in lines.
struct ImportReport {
  std::string manifest;
  std::vector<std::string> lines;
};

// Lists the pictures of the tree (picture_names.h) whose path relative to `root` matches the pattern: {identity},
// {camera}, {modality} and {split} match at least one character, * any number, ? one, but never a '/'; upper and lower
// case are equal. A placeholder that occurs twice must have one value. Identities that are all numbers keep them; other
// names are numbered in ascending order and are in the manifest's column `name`. Without {camera} visible images are of
// camera 1 and infrared ones of 2. Without {split} the identities with both modalities are divided evenly in their
// order, and the others are for training.
//
// UserError: a pattern without {identity}, with a placeholder that is unknown, or with two that no text separates; a
// further word of a modality that is the other one's; numbers of identities that differ only in leading zeros; an
// option that the pattern makes void; no matching picture; an invalid value (with the picture's path); an identity in
// training and in the test; a part that read_manifest() would refuse; a test_share between 0 and 1 that leaves no
// identity with both modalities for training or for the test; a manifest that already exists, or whose folder does not
// contain the tree.
ImportReport import_folder(const ImportOptions& options);

}  // namespace mpanet
