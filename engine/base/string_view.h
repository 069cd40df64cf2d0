// Debian's Abseil is built with a string_view of its own, which std's doesn't turn into by itself.
#ifndef ESD_ENGINE_BASE_STRING_VIEW_H_
#define ESD_ENGINE_BASE_STRING_VIEW_H_

#include <absl/strings/string_view.h>

#include <string_view>

namespace esd {

inline absl::string_view ToAbsl(std::string_view text) { return {text.data(), text.size()}; }

}  // namespace esd

#endif  // ESD_ENGINE_BASE_STRING_VIEW_H_
