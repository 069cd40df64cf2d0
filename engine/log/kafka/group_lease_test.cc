#include "engine/log/kafka/group_lease.h"

#include <gtest/gtest.h>

namespace esd::kafka {
namespace {

using Request = GroupLease::Request;

// Seconds since boot.
absl::Duration At(double seconds) { return absl::Seconds(seconds); }

// A member with a session timeout of 6 s, and what happens to it, at times in seconds.
class GroupLeaseTest : public testing::Test {
 protected:
  void Send(Request request) { lease_.OnSent(request); }
  void Answer(Request request, double at) { lease_.OnAnswer(request, true, At(at)); }
  void NoAnswer(Request request, double at) { lease_.OnAnswer(request, false, At(at)); }

  // JoinGroup is answered at `joined`, SyncGroup at `synced`; the client has yet to report it.
  void Sync(double joined, double synced) {
    Send(Request::kJoinGroup);
    Answer(Request::kJoinGroup, joined);
    Send(Request::kSyncGroup);
    Answer(Request::kSyncGroup, synced);
  }
  void Join(double joined, double synced) {
    Sync(joined, synced);
    lease_.OnAssigned();
  }
  void Heartbeat(double answered) {
    Send(Request::kHeartbeat);
    Answer(Request::kHeartbeat, answered);
  }
  void ConfirmHeartbeat() {
    ASSERT_TRUE(lease_.unconfirmed());
    lease_.Confirm(*lease_.unconfirmed());
  }

  // The lease holds at every time before `end`, and at none from it on.
  void ExpectEnd(double end) const {
    EXPECT_TRUE(lease_.Holds(At(end) - absl::Nanoseconds(1)));
    EXPECT_FALSE(lease_.Holds(At(end)));
    EXPECT_FALSE(lease_.Holds(At(end + 1'000'000)));
  }
  void ExpectNone() const {
    EXPECT_FALSE(lease_.Holds(At(0)));
    EXPECT_FALSE(lease_.Holds(At(1'000)));
  }

  GroupLease lease_{absl::Seconds(6)};
};

TEST_F(GroupLeaseTest, NobodyHoldsALeaseBeforeItIsAssigned) {
  ExpectNone();
  Sync(100, 101);
  ExpectNone();
  Heartbeat(102);
  ConfirmHeartbeat();
  ExpectNone();
}

TEST_F(GroupLeaseTest, AnAssignmentIsGoodForASessionFromBeforeItWasAskedFor) {
  Join(100, 103);
  // The request to sync was sent after the answer at 100: later is no proof.
  ExpectEnd(106);
}

TEST_F(GroupLeaseTest, AHeartbeatCountsFromTheAnswerBeforeItOnceItIsConfirmed) {
  Join(100, 100.5);
  Heartbeat(102);
  ExpectEnd(106);
  ConfirmHeartbeat();
  ExpectEnd(106.5);
  EXPECT_FALSE(lease_.unconfirmed());
  Heartbeat(103.5);
  ConfirmHeartbeat();
  ExpectEnd(108);
}

TEST_F(GroupLeaseTest, TheNextHeartbeatConfirmsTheOneBefore) {
  Join(100, 100.5);
  Heartbeat(102);
  Send(Request::kHeartbeat);
  ExpectEnd(106.5);
}

TEST_F(GroupLeaseTest, AHeartbeatWithAnErrorDoesNotCount) {
  Join(100, 100.5);
  Heartbeat(102);
  const auto answer = lease_.unconfirmed();
  lease_.OnHeartbeatError();
  lease_.Confirm(*answer);
  ExpectEnd(106);
  // Nor when the client sends it again.
  Heartbeat(103);
  lease_.OnHeartbeatError();
  Send(Request::kHeartbeat);
  ExpectEnd(106);
}

TEST_F(GroupLeaseTest, ARepeatedRequestCountsFromTheAnswerToTheFirst) {
  Join(100, 100.5);
  Heartbeat(102);
  lease_.OnHeartbeatError();
  Heartbeat(102.2);
  ConfirmHeartbeat();
  ExpectEnd(108);
}

TEST_F(GroupLeaseTest, AnAnswerThatIsReportedAgainCountsOnceAndTheNextRequestWasSentLater) {
  Send(Request::kJoinGroup);
  Answer(Request::kJoinGroup, 100);
  Answer(Request::kJoinGroup, 100.1);
  Send(Request::kSyncGroup);
  Answer(Request::kSyncGroup, 100.5);
  Answer(Request::kSyncGroup, 100.6);
  lease_.OnAssigned();
  ExpectEnd(106.1);
  Heartbeat(102);
  const auto answer = lease_.unconfirmed();
  Answer(Request::kHeartbeat, 102.1);
  EXPECT_EQ(lease_.unconfirmed(), answer);
  ConfirmHeartbeat();
  ExpectEnd(106.6);
  Answer(Request::kHeartbeat, 102.2);
  EXPECT_FALSE(lease_.unconfirmed());
}

TEST_F(GroupLeaseTest, AHeartbeatWithoutAnAnswerDoesNotCount) {
  Join(100, 100.5);
  Send(Request::kHeartbeat);
  NoAnswer(Request::kHeartbeat, 105);
  EXPECT_FALSE(lease_.unconfirmed());
  Send(Request::kHeartbeat);
  ExpectEnd(106);
  // But the next one was sent after that was known.
  Answer(Request::kHeartbeat, 105.1);
  ConfirmHeartbeat();
  ExpectEnd(111);
}

TEST_F(GroupLeaseTest, AConfirmationOfAnEarlierAnswerIsNoneOfTheLast) {
  Join(100, 100.5);
  Heartbeat(102);
  const auto first = lease_.unconfirmed();
  Heartbeat(103.5);
  EXPECT_NE(lease_.unconfirmed(), first);
  lease_.Confirm(*first);
  ExpectEnd(106.5);
}

// The process is stopped at any point for longer than the session timeout: whatever happened before
// that it only gets to do or see after it, at 200.
TEST_F(GroupLeaseTest, WhoSleptThroughTheSessionHoldsNoLeaseWhenItWakes) {
  Join(100, 100.5);
  Heartbeat(102);
  ConfirmHeartbeat();
  // Between the sending of a heartbeat and the notice of it.
  Send(Request::kHeartbeat);
  EXPECT_FALSE(lease_.Holds(At(200)));
  // The answer has waited in the socket, and is no error.
  Answer(Request::kHeartbeat, 200);
  ConfirmHeartbeat();
  EXPECT_FALSE(lease_.Holds(At(200)));
  // What is sent now may still be answered by an error.
  Send(Request::kHeartbeat);
  EXPECT_FALSE(lease_.Holds(At(200)));
  Answer(Request::kHeartbeat, 200.1);
  EXPECT_FALSE(lease_.Holds(At(200.1)));
  lease_.OnHeartbeatError();
  Send(Request::kJoinGroup);
  EXPECT_FALSE(lease_.Holds(At(200.1)));
}

TEST_F(GroupLeaseTest, WhoSleptWhileItJoinedHoldsNoLeaseWhenItWakes) {
  Send(Request::kJoinGroup);
  Answer(Request::kJoinGroup, 100);
  Send(Request::kSyncGroup);
  Answer(Request::kSyncGroup, 200);
  lease_.OnAssigned();
  EXPECT_FALSE(lease_.Holds(At(200)));
}

TEST_F(GroupLeaseTest, WhatWasHeardBeforeARebalanceDoesNotCountButWhatWasConfirmedGoesOn) {
  Join(100, 100.5);
  Heartbeat(102);
  Send(Request::kJoinGroup);
  EXPECT_FALSE(lease_.unconfirmed());
  ExpectEnd(106);
  Answer(Request::kJoinGroup, 103);
  Send(Request::kSyncGroup);
  Answer(Request::kSyncGroup, 103.5);
  ExpectEnd(106);
  lease_.OnAssigned();
  ExpectEnd(109);
}

TEST_F(GroupLeaseTest, AnAssignmentThatBringsNoNewsLeavesTheLeaseAsItIs) {
  Join(100, 100.5);
  // Each SyncGroup counts once.
  lease_.OnAssigned();
  ExpectEnd(106);
  // Nor is one counted that was answered before the client joined again.
  Sync(103, 103.5);
  Send(Request::kJoinGroup);
  lease_.OnAssigned();
  ExpectEnd(106);
}

TEST_F(GroupLeaseTest, WhoIsNoMemberAnyMoreHoldsNoLeaseUntilTheNextAssignment) {
  Join(100, 100.5);
  Heartbeat(102);
  const auto answer = lease_.unconfirmed();
  lease_.End();
  ExpectNone();
  lease_.Confirm(*answer);
  ExpectNone();
  // An answer that was under way.
  Heartbeat(103);
  Send(Request::kHeartbeat);
  ExpectNone();
  Join(104, 104.5);
  ExpectEnd(110);
}

TEST(TimeSinceBootTest, GoesForward) {
  const absl::Duration first = TimeSinceBoot();
  EXPECT_GT(first, absl::ZeroDuration());
  EXPECT_GE(TimeSinceBoot(), first);
}

TEST_F(GroupLeaseTest, AwaitsTheFirstAssignmentFromTheAnswerToJoinGroupOn) {
  EXPECT_FALSE(lease_.AwaitsFirstAssignment());
  Send(Request::kJoinGroup);
  EXPECT_FALSE(lease_.AwaitsFirstAssignment());
  Answer(Request::kJoinGroup, 1);  // an error, as far as is known: the client may ask again
  EXPECT_TRUE(lease_.AwaitsFirstAssignment());
  Send(Request::kJoinGroup);
  EXPECT_FALSE(lease_.AwaitsFirstAssignment());
  NoAnswer(Request::kJoinGroup, 2);
  EXPECT_FALSE(lease_.AwaitsFirstAssignment());
  Sync(3, 4);
  EXPECT_TRUE(lease_.AwaitsFirstAssignment());
  lease_.OnAssigned();
  EXPECT_FALSE(lease_.AwaitsFirstAssignment());
  Sync(5, 6);  // the group goes on with the next generation
  EXPECT_FALSE(lease_.AwaitsFirstAssignment());
}

}  // namespace
}  // namespace esd::kafka
