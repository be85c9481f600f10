// SYSU-MM01 on disk (docs/method.md, section 4): cam1..cam6/<id:%04d>/<n:%04d>.jpg, of which cameras 3 and 6 are
// infrared, and the lists of identities exp/{train,val,test}_id.txt.
#pragma once
#include <string>
#include <vector>

#include "data/sets/dataset.h"
#include "data/sets/matfile.h"

namespace mpanet {

constexpr bool sysu_infrared(int camera) { return camera == 3 || camera == 6; }

// Training identities are those of train_id.txt, then val_id.txt. A label is the position in this list. Errors: see
// read_dataset().
Dataset read_sysu(const std::string& root, Split split);

// ROOT/exp/test_id.txt.
std::vector<int> read_sysu_test_ids(const std::string& root);

// The images that the trial file lists for the identities, by ascending path. The disk is not read. UserError for an
// identity without any image.
std::vector<ImageRecord> sysu_test_images(const std::vector<int>& test_ids, const TrialFile& trials);

// Path relative to the data set: "cam3/0042/0007.jpg".
std::string sysu_path(int camera, int identity, int number);

}  // namespace mpanet
