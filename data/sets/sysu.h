// SYSU-MM01 on disk (docs/method.md, section 4): cam1..cam6/<id:%04d>/<n:%04d>.jpg, of which cameras 3 and 6 are
// infrared, and the lists of identities exp/{train,val,test}_id.txt.
#pragma once
#include <set>
#include <string>
#include <vector>

#include "data/sets/dataset.h"
#include "data/sets/matfile.h"
#include "data/sets/picture_names.h"

namespace mpanet {

constexpr bool sysu_infrared(int camera) { return camera == 3 || camera == 6; }

// Training identities are those of train_id.txt, then val_id.txt. A label is the position in this list. Errors: see
// read_dataset().
Dataset read_sysu(const std::string& root, Split split);

// The names of identities' folders have four digits: "0001".
bool is_sysu_identity(const std::string& name);

// Adds entries that no reader reads: folders such as cam7 beside cam1..cam6, and in these other names than those of
// identities.
void add_sysu_others(const std::string& root, LeftOut& others);
inline LeftOut sysu_others() {
  return LeftOut("entry that is no folder of a camera and an identity",
                 "entries that are no folders of a camera and an identity");
}

// Adds the identities that have a folder and stand in none of the lists.
void add_unlisted_identities(const std::string& root, const std::set<int>& listed, LeftOut& unlisted);
inline LeftOut unlisted_identities() { return LeftOut("identity that no list names", "identities that no list names"); }

// ROOT/exp/test_id.txt.
std::vector<int> read_sysu_test_ids(const std::string& root);

// The images that the trial file lists for the identities, by ascending path. The disk is not read. UserError for an
// identity without any image.
std::vector<ImageRecord> sysu_test_images(const std::vector<int>& test_ids, const TrialFile& trials);

// Path relative to the data set: "cam3/0042/0007.jpg".
std::string sysu_path(int camera, int identity, int number);

}  // namespace mpanet
