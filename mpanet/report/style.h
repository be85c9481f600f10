// The style sheet of the page, as the content of a <style> element.
#pragma once

namespace mpanet {

extern const char* const kReportStyle;

}  // namespace mpanet
