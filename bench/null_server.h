// The least that any server of the API must do: take a call, answer it.
#ifndef ESD_BENCH_NULL_SERVER_H_
#define ESD_BENCH_NULL_SERVER_H_

#include <absl/status/status.h>

#include <string>

namespace esd::bench {

// Answers esd.v1.QueryService.GetSnapshot, whatever is asked, with the esd.v1.GetSnapshotResponse
// whose binary form is in the file `response_path`. It looks nothing up. API and limits of gRPC are
// those that the engine uses.
//
// Listens on `grpc_listen` (host:port). Runs until SIGTERM or SIGINT.
absl::Status RunNullServer(const std::string& grpc_listen, const std::string& response_path);

}  // namespace esd::bench

#endif  // ESD_BENCH_NULL_SERVER_H_
