// Where the parts of a JSON document stand in its text, which simdjson's DOM doesn't tell.
#ifndef ESD_ENGINE_AGGREGATE_JSON_SCAN_H_
#define ESD_ENGINE_AGGREGATE_JSON_SCAN_H_

#include <string_view>
#include <vector>

namespace esd::internal {

// The texts of the values of an object's members, in their order there, without the white space
// around them. `json` must be a valid document whose root is an object: this looks for ends, it
// checks nothing. Stays within `json` whatever it holds.
std::vector<std::string_view> MemberTexts(std::string_view json);

}  // namespace esd::internal

#endif  // ESD_ENGINE_AGGREGATE_JSON_SCAN_H_
