// The limit of processor time that a container or a job system sets.
#pragma once
#include <string>

namespace mpanet {

// Number of processors that the control groups of this process allow, such as 1.5; 0: no limit. It is the minimum over
// the group and its ancestors, for versions 1 and 2. Tests pass a prefix of /proc and of the mount points as `root`.
double cgroup_quota(const std::string& root = "");

}  // namespace mpanet
