// SYSU-MM01 on disk (docs/method.md, section 4): cam1..cam6/<id:%04d>/<n:%04d>.jpg, cameras 3 and 6 infrared, lists of
// identities exp/{train,val,test}_id.txt.
#pragma once
#include <string>
#include <vector>

#include "data/sets/dataset.h"
#include "data/sets/matfile.h"

namespace mpanet {

constexpr bool sysu_infrared(int camera) { return camera == 3 || camera == 6; }

// Training is train_id.txt followed by val_id.txt; the label is the position. See read_dataset() for errors.
Dataset read_sysu(const std::string& root, Split split);

// ROOT/exp/test_id.txt.
std::vector<int> read_sysu_test_ids(const std::string& root);

// The test images without a picture on disk: what the trial file lists for the identities, by ascending path.
// UserError for an identity of which it lists no image at all.
std::vector<ImageRecord> sysu_test_images(const std::vector<int>& test_ids, const TrialFile& trials);

// cam3/0042/0007.jpg
std::string sysu_path(int camera, int identity, int number);

}  // namespace mpanet
