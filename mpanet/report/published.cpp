#include "mpanet/report/published.h"

#include "mpanet/evaluation/protocol.h"

namespace mpanet {

std::optional<Published> published(std::string_view protocol, std::string_view direction, const Setting& setting,
                                   int queries) {
  constexpr int kSysuQueries = 3803, kRegDbQueries = 2060;
  if (protocol == "sysu" && queries == kSysuQueries) {
    if (setting == Setting{"all", "single"}) return Published{70.58, 68.24};
    if (setting == Setting{"all", "multi"}) return Published{75.58, 62.91};
    if (setting == Setting{"indoor", "single"}) return Published{76.74, 80.95};
    if (setting == Setting{"indoor", "multi"}) return Published{84.22, 75.11};
  }
  if (protocol == "regdb" && queries == kRegDbQueries) {
    if (direction == words_of(Direction::VisibleToInfrared)) return Published{83.70, 80.90};
    if (direction == words_of(Direction::InfraredToVisible)) return Published{82.80, 80.70};
  }
  return std::nullopt;
}

}  // namespace mpanet
