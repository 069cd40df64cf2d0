// Reads of aggregates that this instance owns.
#ifndef ESD_ENGINE_SERVER_API_SNAPSHOT_READS_H_
#define ESD_ENGINE_SERVER_API_SNAPSHOT_READS_H_

#include <google/rpc/status.pb.h>

#include <optional>
#include <string>

#include "engine/base/types.h"
#include "engine/server/api/api.h"
#include "engine/server/api/domains.h"
#include "esd/v1/query_service.pb.h"

namespace esd::api {

// The aggregate's present snapshot; kNotFound AGGREGATE_NOT_FOUND when it has none. Each returns
// what the caller is told when `*snapshot` is not filled.
std::optional<google::rpc::Status> ReadSnapshot(const Api& api, DomainApi& domain,
                                                const std::string& key,
                                                esd::v1::PayloadFormat format,
                                                esd::v1::Snapshot* snapshot);

// The aggregate as of a version, from its events: takes longer the more there are.
std::optional<google::rpc::Status> ReadSnapshotAt(const Api& api, DomainApi& domain,
                                                  const std::string& key, Version version,
                                                  esd::v1::PayloadFormat format,
                                                  esd::v1::Snapshot* snapshot);

// Nothing when the partition's history can be asked.
std::optional<google::rpc::Status> CheckHistory(const Api& api, const DomainPartition& partition);

// Fills `snapshot` from what is stored.
std::optional<google::rpc::Status> ToSnapshot(DomainApi& domain, const std::string& key,
                                              const esd::v1::StoredSnapshot& stored,
                                              esd::v1::PayloadFormat format,
                                              esd::v1::Snapshot* snapshot);

google::rpc::Status AggregateNotFound();

// `details` with the aggregate's version, if it has one.
google::rpc::Status VersionNotReached(absl::StatusCode code, Version present);

}  // namespace esd::api

#endif  // ESD_ENGINE_SERVER_API_SNAPSHOT_READS_H_
