#include "engine/worker/repair.h"

#include <xxhash.h>

namespace esd {

uint64_t HashOf(std::string_view bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

SeenSnapshot SeenOf(const esd::v1::StoredSnapshot& snapshot) {
  return {Version{snapshot.version()}, HashOf(snapshot.state())};
}

}  // namespace esd
