// What Membership must tell: who processes a partition, and whether this instance may believe that
// it does.
#include <absl/time/clock.h>
#include <gmock/gmock.h>

#include <algorithm>
#include <thread>

#include "tests/log/log_contract_language.h"
#include "tests/log/log_contract_test.h"

namespace esd {
namespace {

Transaction Marked(const DomainPartition& partition, OwnershipMark mark) {
  Transaction transaction{{Part(partition, 0, {Topic::kSnapshot})}};
  transaction.parts[0].ownership = mark;
  return transaction;
}

// As the engine does: a partition is opened before it is claimed. There are no commands.
void Claim(ContractInstance& instance, const DomainPartition& partition) {
  OpenOk(*instance.log, partition);
  ASSERT_TRUE(Committed(CommitAtLast(*instance.worker, Marked(partition, OwnershipMark::kClaim))));
}

void Release(ContractInstance& instance, const DomainPartition& partition) {
  ASSERT_TRUE(
      Committed(CommitAtLast(*instance.worker, Marked(partition, OwnershipMark::kRelease))));
}

// Waits until the log tells that the instance owns the partition; returns the owner's generation.
int64_t AwaitOwner(Log& log, const DomainPartition& partition, const std::string& instance) {
  std::optional<PartitionOwner> owner;
  EXPECT_TRUE(Eventually([&] {
    owner = log.membership().OwnerOf(partition);
    return owner && owner->instance == instance;
  })) << ToString(partition)
      << " is " << (owner ? owner->instance : "nobody") << "'s, not " << instance << "'s";
  if (!owner) return -1;
  EXPECT_EQ(owner->address, LogContractHarness::AddressOf(instance));
  return owner->generation;
}

void AwaitNoOwner(Log& log, const DomainPartition& partition) {
  EXPECT_TRUE(Eventually([&] { return !log.membership().OwnerOf(partition).has_value(); }));
}

bool HoldsLease(const ContractInstance& instance) {
  return instance.log->membership().HoldsLease();
}

}  // namespace

// --- who owns

TEST_P(LogContract, OwnersAreKnownBeforeAndAfterARestart) {
  auto a = OpenOwner("a");
  EXPECT_EQ(a->log->membership().OwnerOf(kAlpha0), std::nullopt);
  Claim(*a, kAlpha0);
  Claim(*a, kBeta1);
  AwaitOwner(*a->log, kAlpha0, "a");
  EXPECT_EQ(a->log->membership().OwnerOf(kAlpha1), std::nullopt);
  // Other transactions change nothing.
  ASSERT_TRUE(Committed(CommitAtLast(*a->worker, {{Part(kAlpha0, 0, {Topic::kEvent})}})));
  Release(*a, kBeta1);
  AwaitNoOwner(*a->log, kBeta1);
  AwaitOwner(*a->log, kAlpha0, "a");
  a->Close();
  const auto b = Open("b");
  AwaitOwner(*b->log, kAlpha0, "a");
  AwaitNoOwner(*b->log, kBeta1);
}

TEST_P(LogContract, AnOwnerAfterARestartHasAHigherGeneration) {
  int64_t generation = -1;
  for (const std::string id : {"a", "b", "a"}) {
    const auto owner = OpenOwner(id);
    Claim(*owner, kAlpha0);
    const int64_t next = AwaitOwner(*owner->log, kAlpha0, id);
    EXPECT_GT(next, generation);
    generation = next;
  }
}

TEST_P(LogContract, AClaimOfATransactionThatFailedIsNeverSeen) {
  const auto a = OpenOwner("a");
  Claim(*a, kAlpha1);
  // Larger than the topic takes, so the transaction is aborted.
  Transaction aborted = Marked(kAlpha0, OwnershipMark::kClaim);
  aborted.parts[0].records.push_back(
      Output(Topic::kCommand, kAlpha0.partition,
             Noise(a->log->MaxRecordBytes("alpha", Topic::kCommand) + 10'000)));
  EXPECT_EQ(a->worker->Commit(aborted).outcome, CommitOutcome::kAborted);
  // Nor one of a worker that was fenced.
  ASSERT_TRUE(a->log->OpenWorker(0).ok());
  EXPECT_NE(a->worker->Commit(Marked(kAlpha0, OwnershipMark::kClaim)).outcome,
            CommitOutcome::kCommitted);
  EXPECT_NE(a->worker->Commit(Marked(kAlpha1, OwnershipMark::kRelease)).outcome,
            CommitOutcome::kCommitted);
  ASSERT_TRUE(a->worker->Reopen().ok());
  // What was committed behind it is seen, so it would be.
  Claim(*a, kBeta0);
  AwaitOwner(*a->log, kBeta0, "a");
  EXPECT_EQ(a->log->membership().OwnerOf(kAlpha0), std::nullopt);
  AwaitOwner(*a->log, kAlpha1, "a");
}

TEST_P(SharedLogContract, APartitionHasNoOwnerBeforeItIsClaimedNorAfterItIsReleased) {
  const auto a = OpenOwner("a");
  const auto b = Open("b");  // no member, and still it knows
  EXPECT_EQ(a->log->membership().OwnerOf(kAlpha0), std::nullopt);
  Claim(*a, kAlpha0);
  for (Log* log : {a->log.get(), b->log.get()}) {
    AwaitOwner(*log, kAlpha0, "a");
    EXPECT_EQ(log->membership().OwnerOf(kAlpha1), std::nullopt);
    EXPECT_EQ(log->membership().OwnerOf(kBeta0), std::nullopt);
  }
  // Other transactions change nothing.
  ASSERT_TRUE(Committed(CommitAtLast(*a->worker, {{Part(kAlpha0, 0, {Topic::kEvent})}})));
  Claim(*a, kAlpha1);
  AwaitOwner(*b->log, kAlpha1, "a");
  AwaitOwner(*b->log, kAlpha0, "a");
  Release(*a, kAlpha0);
  for (Log* log : {a->log.get(), b->log.get()}) AwaitNoOwner(*log, kAlpha0);
  AwaitOwner(*b->log, kAlpha1, "a");
}

TEST_P(SharedLogContract, AnInstanceThatIsOpenedLaterKnowsTheOwners) {
  const auto a = OpenOwner("a");
  Claim(*a, kAlpha0);
  Claim(*a, kBeta1);
  Release(*a, kBeta1);
  const auto b = Open("b");
  AwaitOwner(*b->log, kAlpha0, "a");
  AwaitNoOwner(*b->log, kBeta1);
}

TEST_P(SharedLogContract, AnOwnerThatTakesOverHasAHigherGeneration) {
  const auto c = Open("c");
  int64_t generation = -1;
  std::unique_ptr<ContractInstance> owner;
  for (const std::string id : {"a", "b", "a"}) {
    // The owner before is gone without a release.
    if (owner != nullptr) owner->Close();
    owner = OpenOwner(id);
    Claim(*owner, kAlpha0);
    EXPECT_EQ(AwaitOwner(*owner->log, kAlpha0, id), AwaitOwner(*c->log, kAlpha0, id));
    const int64_t next = AwaitOwner(*c->log, kAlpha0, id);
    EXPECT_GT(next, generation);
    generation = next;
  }
}

TEST_P(LogContract, AClaimAfterAReleaseIsSeen) {
  const auto a = OpenOwner("a");
  Claim(*a, kAlpha0);
  Release(*a, kAlpha0);
  AwaitNoOwner(*a->log, kAlpha0);
  a->Close();
  const auto b = OpenOwner("b");
  Claim(*b, kAlpha0);
  AwaitOwner(*b->log, kAlpha0, "b");
}

TEST_P(SharedLogContract, AClaimThatIsNotCommittedIsNeverSeen) {
  const auto a = OpenOwner("a");
  const auto b = Open("b");
  Claim(*a, kAlpha1);
  OpenOk(*a->log, kAlpha0);
  // Larger than the topic takes, so the transaction is aborted.
  Transaction aborted = Marked(kAlpha0, OwnershipMark::kClaim);
  aborted.parts[0].records.push_back(
      Output(Topic::kCommand, kAlpha0.partition,
             Noise(a->log->MaxRecordBytes("alpha", Topic::kCommand) + 10'000)));
  EXPECT_EQ(a->worker->Commit(aborted).outcome, CommitOutcome::kAborted);
  // Nor one of a worker that was fenced: b's, as soon as a's is.
  ASSERT_TRUE(harness().OpenInstance("a")->OpenWorker(0).ok());
  EXPECT_NE(a->worker->Commit(Marked(kAlpha0, OwnershipMark::kClaim)).outcome,
            CommitOutcome::kCommitted);
  EXPECT_NE(a->worker->Commit(Marked(kAlpha1, OwnershipMark::kRelease)).outcome,
            CommitOutcome::kCommitted);
  ASSERT_TRUE(a->worker->Reopen().ok());
  // What was committed behind it is seen, so it would be.
  Claim(*a, kBeta0);
  for (Log* log : {a->log.get(), b->log.get()}) {
    AwaitOwner(*log, kBeta0, "a");
    EXPECT_EQ(log->membership().OwnerOf(kAlpha0), std::nullopt);
    AwaitOwner(*log, kAlpha1, "a");
  }
}

// --- the lease

TEST_P(LogContract, AMemberHoldsALeaseFromSoonAfterItJoinedUntilItLeaves) {
  const auto a = Open("a");
  EXPECT_FALSE(HoldsLease(*a));
  a->Join();
  a->listener.AwaitOwned(kAllPartitionCount);
  EXPECT_TRUE(Eventually([&] { return HoldsLease(*a); }));
  a->log->membership().Leave(absl::Seconds(10));
  EXPECT_FALSE(HoldsLease(*a));
}

TEST_P(SharedLogContract, AMemberWithoutAPartitionHoldsALease) {
  std::vector<std::unique_ptr<ContractInstance>> members;
  for (const std::string id : {"a", "b", "c", "d", "e"}) {
    members.push_back(Open(id));
    members.back()->Join();
  }
  EXPECT_TRUE(Eventually([&] {
    return std::all_of(members.begin(), members.end(),
                       [](const auto& member) { return HoldsLease(*member); });
  }));
}

TEST_P(SharedLogContract, AMemberInGoodOrderHoldsItsLeaseAllTheTime) {
  const auto a = OpenOwner("a");
  EXPECT_TRUE(Eventually([&] { return HoldsLease(*a); }));
  // While others come and go…
  {
    const auto b = Open("b");
    b->Join();
    while (b->listener.owned().size() < kAllPartitionCount / 2 && HoldsLease(*a)) {
      absl::SleepFor(absl::Milliseconds(1));
    }
    EXPECT_TRUE(HoldsLease(*a));
    EXPECT_TRUE(Eventually([&] { return HoldsLease(*b); }));
  }
  // … and longer than what it heard last is good for.
  for (const absl::Time end = absl::Now() + 1.5 * harness().SessionTimeout();
       absl::Now() < end && HoldsLease(*a);) {
    absl::SleepFor(absl::Milliseconds(1));
  }
  EXPECT_TRUE(HoldsLease(*a));
}

TEST_P(SharedLogContract, AMemberThatIsCutOffHoldsNoLeaseWhenAnotherGetsItsPartitions) {
  const auto a = OpenOwner("a");
  const auto b = Open("b");
  b->Join();
  a->listener.AwaitOwned(kAllPartitionCount / 2);
  b->listener.AwaitOwned(kAllPartitionCount / 2);
  EXPECT_TRUE(Eventually([&] { return HoldsLease(*a) && HoldsLease(*b); }));
  b->listener.SetOnAssigned([&](const auto&) { EXPECT_FALSE(HoldsLease(*a)); });
  harness().CutOff("a");
  b->listener.AwaitOwned(kAllPartitionCount);
  EXPECT_FALSE(HoldsLease(*a));
  EXPECT_TRUE(HoldsLease(*b));
  b->listener.SetOnAssigned(nullptr);

  harness().Reconnect("a");
  a->listener.Await([&](const auto& owned) {
    const auto of_b = b->listener.owned();
    return owned.size() == kAllPartitionCount / 2 && of_b.size() == kAllPartitionCount / 2 &&
           std::none_of(owned.begin(), owned.end(),
                        [&](const auto& partition) { return of_b.contains(partition); });
  });
  EXPECT_TRUE(Eventually([&] { return HoldsLease(*a) && HoldsLease(*b); }));
}

// What a member believes to own can be long out of date: nobody tells it while its listener is
// busy.
TEST_P(SharedLogContract, AMemberThatIsBusyWhenItIsCutOffHoldsNoLeaseWhenAnotherGetsItsPartitions) {
  const auto a = OpenOwner("a");
  EXPECT_TRUE(Eventually([&] { return HoldsLease(*a); }));
  absl::Notification busy;
  absl::Notification go_on;
  a->listener.SetOnRevoked([&](const auto&) {
    if (!busy.HasBeenNotified()) busy.Notify();
    go_on.WaitForNotification();
  });
  const auto b = Open("b");
  b->listener.SetOnAssigned([&](const auto&) { EXPECT_FALSE(HoldsLease(*a)); });
  b->Join();
  ASSERT_TRUE(busy.WaitForNotificationWithTimeout(kContractDeadline));
  EXPECT_TRUE(HoldsLease(*a));
  harness().CutOff("a");
  b->listener.AwaitOwned(kAllPartitionCount);
  EXPECT_FALSE(a->listener.owned().empty());  // so it believes
  EXPECT_FALSE(HoldsLease(*a));
  b->listener.SetOnAssigned(nullptr);
  harness().Reconnect("a");
  a->listener.SetOnRevoked(nullptr);
  go_on.Notify();
  a->listener.AwaitOwned(kAllPartitionCount / 2);
  EXPECT_TRUE(Eventually([&] { return HoldsLease(*a) && HoldsLease(*b); }));
}

}  // namespace esd
