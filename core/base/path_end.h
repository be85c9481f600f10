// Where a path leads when its links are followed. /dev/stdout, /dev/fd/N and /proc/self/fd/N lead to a descriptor that
// this program has open already: opening them as files would start at the beginning, replace an entry of /dev, or wait
// for ever.
#pragma once
#include <string>

namespace mpanet {

struct PathEnd {
  enum class Kind {
    Nothing,     // the folder exists, the name in it does not
    File,        // a regular file
    Folder,      //
    Special,     // a pipe, a device, a socket, another program's descriptor
    Descriptor,  // one of this program's own
  } kind = Kind::Nothing;
  std::string path;     // without links
  int descriptor = -1;  // with Kind::Descriptor; it need not be open
};

// std::system_error (errno) when the path cannot be followed: its folder does not exist, a circle of links.
PathEnd follow_path(const std::string& path);

}  // namespace mpanet
