// What SYSU-MM01's protocols, sysu and agw, have in common: settings and the camera filter.
#pragma once
#include <vector>

#include "mpanet/evaluation/plan.h"
#include "mpanet/evaluation/protocol.h"

namespace mpanet {

// The filter of camera 3's queries, which skip gallery images of camera 2: the same location.
bool skips_same_location(Sighting query, Sighting gallery);

// Whether the setting's gallery has images of this visible camera: all search of every one, indoor of 1 and 2.
bool takes_part(const Setting& setting, int camera);

// The settings of the filter in the order of result tables: all and indoor search, each single and multi shot.
// UserError for another mode or another kind of shots.
std::vector<Setting> chosen_settings(const SettingFilter& filter);

}  // namespace mpanet
