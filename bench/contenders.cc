#include "bench/contenders.h"

#include <absl/strings/str_cat.h>

#include <filesystem>
#include <vector>

namespace esd::bench {

std::string OwnPath() { return std::filesystem::read_symlink("/proc/self/exe").string(); }

Contender Engine(const std::string& esd, int workers) {
  return {"engine", [esd, workers](const KafkaTarget& target, const ListenAddresses& listen,
                                   const std::string& data_dir) {
            return std::vector<std::string>{esd,
                                            "serve",
                                            "--bootstrap-servers",
                                            target.bootstrap_servers,
                                            "--domain",
                                            "security",
                                            "--topic-prefix",
                                            target.topic_prefix,
                                            "--group",
                                            target.group,
                                            "--data-dir",
                                            data_dir,
                                            "--workers",
                                            absl::StrCat(workers),
                                            "--http-listen",
                                            listen.http,
                                            "--grpc-listen",
                                            listen.grpc};
          }};
}

Contender BareLoop() {
  return {"bare loop",
          [](const KafkaTarget& target, const ListenAddresses& listen, const std::string&) {
            return std::vector<std::string>{OwnPath(),
                                            "bare-loop",
                                            "--bootstrap-servers",
                                            target.bootstrap_servers,
                                            "--topic-prefix",
                                            target.topic_prefix,
                                            "--group",
                                            target.group,
                                            "--partitions",
                                            absl::StrCat(target.partitions),
                                            "--http-listen",
                                            listen.http};
          }};
}

}  // namespace esd::bench
