// Seconds that processors have computed. Unlike the clock's, they do not count other programs' work.
#pragma once

namespace mpanet {

double thread_seconds();   // of this thread
double process_seconds();  // of all threads of this process, ended ones too

}  // namespace mpanet
