// What the API answers from: the parts of a running engine.
#ifndef ESD_ENGINE_SERVER_API_BACKEND_H_
#define ESD_ENGINE_SERVER_API_BACKEND_H_

#include <string>

#include "engine/base/metrics.h"
#include "engine/log/log.h"
#include "engine/store/snapshot_store.h"
#include "engine/worker/domain_registry.h"
#include "engine/worker/history.h"

namespace esd::api {

// All of it outlives the API.
struct Backend {
  Log* log;
  CommandAppender* appender;
  const SnapshotStore* store;
  const History* history;  // null: none is kept
  const DomainRegistry* domains;
  Metrics* metrics;
  // This instance, as the others see it.
  std::string instance_id;
  std::string address;
  // See EngineOptions.
  int max_in_flight;
  int max_in_flight_per_connection;
};

}  // namespace esd::api

#endif  // ESD_ENGINE_SERVER_API_BACKEND_H_
