// Text from elsewhere, made fit for a terminal.
#ifndef ESD_CMD_ESD_CLIENT_PRINTABLE_H_
#define ESD_CMD_ESD_CLIENT_PRINTABLE_H_

#include <cstddef>
#include <string>
#include <string_view>

namespace esd::cmd {

// `text` without anything that a terminal would act on: control characters (C0, DEL and C1), marks
// that turn the direction of writing, and bytes that aren't UTF-8 stand there as \n, \t, \x1b or
// \u202e. All else is as it was.
std::string Printable(std::string_view text);

// How many columns printable text takes: its code points.
size_t Width(std::string_view printable);

// Whether it is well-formed UTF-8.
bool IsUtf8(std::string_view text);

}  // namespace esd::cmd

#endif  // ESD_CMD_ESD_CLIENT_PRINTABLE_H_
