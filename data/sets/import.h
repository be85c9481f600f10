// Makes a CSV manifest (manifest.h) of an ordinary folder tree.
#pragma once
#include <string>
#include <vector>

namespace mpanet {

struct ImportOptions {
  std::string root;                            // the folder of the tree
  std::string pattern;                         // "{modality}/{identity}_c{camera}_*.jpg"
  std::string out;                             // the manifest; empty: manifest.csv in the folder
  std::vector<std::string> visible, infrared;  // further words for the modalities, beside the known ones
  std::vector<int> infrared_cameras;           // without {modality}: the cameras that are infrared
  double test_share = 0.5;                     // without {split}: the share of the identities that is for the test
  bool query_visible = false;                  // the test's queries are its visible images, not its infrared ones
};

// What was made, in lines for people.
struct ImportReport {
  std::string manifest;
  std::vector<std::string> lines;
};

// Takes the pictures of the tree (picture_names.h) whose path below `root` fits the pattern: {identity}, {camera},
// {modality} and {split} stand for at least one character, * for any number, ? for one, none of them for a '/'; letters
// fit in capitals too. A placeholder that stands twice has to have one value. Identities that are all numbers keep
// them, other names are numbered in ascending order, and stand in the manifest's column `name`. Without {camera}
// visible images are of camera 1 and infrared ones of 2. Without {split} the identities with both modalities are
// divided evenly along their order.
//
// UserError: a pattern without {identity} or with a placeholder that is unknown; no picture fits; a value that means
// nothing (with the picture's path); an identity in training and in the test; the manifest exists already, or does not
// stand in or above the tree.
ImportReport import_folder(const ImportOptions& options);

}  // namespace mpanet
