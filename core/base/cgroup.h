// The limit that a container or a job sets on processor time.
#pragma once
#include <string>

namespace mpanet {

// Processors that the control groups of this process allow, such as 1.5; 0: no limit. Versions 1 and 2, every group up
// to the mounted top; the smallest limit counts. `root` stands before /proc and the mounted hierarchies.
double cgroup_quota(const std::string& root = "");

}  // namespace mpanet
