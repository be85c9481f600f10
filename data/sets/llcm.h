// LLCM on disk (docs/method.md, section 4): lists idx/train_vis.txt and idx/train_nir.txt with lines "path label",
// idx/test_id.txt, and the test pictures test_vis/cam1..cam9/<id:%04d>/ and test_nir/cam1, 2, 4..9/<id:%04d>/. The
// near-infrared camera 3 is absent by design.
#pragma once
#include <string>
#include <vector>

#include "data/sets/dataset.h"

namespace mpanet {

// Camera numbers of the test pictures, ascending: 1..9, infrared without 3.
const std::vector<int>& llcm_cameras(bool infrared);
// test_nir/cam4/0007
std::string llcm_test_folder(bool infrared, int camera, int identity);

// A training picture's identity is its label. Its camera is the number in "cam4/" or "_c04" of its path, or 0.
// Entries of the test folders other than a camera's folders of listed identities are ignored, with a note.
//
// UserError, with the line's number, for a picture in both lists, in a folder of the test or of the other modality, and
// where the picture's folder has a number that had another label before, or the label another number; also the errors
// of read_dataset().
Dataset read_llcm(const std::string& root, Split split);
// idx/test_id.txt
std::vector<int> read_llcm_test_ids(const std::string& root);

}  // namespace mpanet
