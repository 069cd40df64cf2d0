#include "cmd/esd/client/dead_letters.h"

#include <limits>
#include <vector>

#include "cmd/esd/client/arguments.h"

namespace esd::cmd {
namespace {

constexpr int kPageSize = 1'000;

}  // namespace

std::optional<CallError> ForEachPage(
    const Session& session, const DeadLetterFilter& filter,
    const std::function<bool(const std::vector<esd::v1::DeadLetter>&)>& take) {
  esd::v1::ListDeadLettersRequest request;
  request.set_domain(session.domain());
  request.set_page_size(kPageSize);
  if (filter.partition) request.set_partition(*filter.partition);
  do {
    esd::v1::ListDeadLettersResponse page;
    if (auto error = session.client().Try([&](grpc::ClientContext* context) {
          return session.client().admin().ListDeadLetters(context, request, &page);
        })) {
      return error;
    }
    std::vector<esd::v1::DeadLetter> passed;
    for (const esd::v1::DeadLetter& letter : page.dead_letters()) {
      if (filter.reason.empty() || letter.reason() == filter.reason) passed.push_back(letter);
    }
    if (!take(passed)) return std::nullopt;
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  return std::nullopt;
}

void AddFilterOptions(CLI::App& app, DeadLetterFilter& filter) {
  app.add_option("--partition", filter.partition, "Only those of this partition.")
      ->type_name("N")
      ->check(InRange(0, std::numeric_limits<int32_t>::max()));
  app.add_option("--reason", filter.reason, "Only those with this reason, as in UNKNOWN_TYPE.")
      ->type_name("REASON");
}

}  // namespace esd::cmd
