#include "mpanet/evaluation/sysu_settings.h"

#include "core/base/error.h"

namespace mpanet {

bool skips_same_location(Sighting query, Sighting gallery) { return query.camera == 3 && gallery.camera == 2; }

bool takes_part(const Setting& setting, int camera) { return setting.mode == "all" || camera == 1 || camera == 2; }

std::vector<Setting> chosen_settings(const SettingFilter& filter) {
  const auto known = [](const std::string& value, const char* key, const std::string& a, const std::string& b) {
    if (!value.empty() && value != a && value != b) fail("{}: expected {} or {}, got '{}'", key, a, b, value);
  };
  known(filter.mode, "mode", "all", "indoor");
  known(filter.shots, "shots", "single", "multi");
  std::vector<Setting> chosen;
  for (const char* mode : {"all", "indoor"})
    for (const char* shots : {"single", "multi"})
      if ((filter.mode.empty() || filter.mode == mode) && (filter.shots.empty() || filter.shots == shots))
        chosen.push_back({mode, shots});
  return chosen;
}

}  // namespace mpanet
