#include "tests/log/network_cut.h"

#include <absl/base/thread_annotations.h>
#include <absl/synchronization/mutex.h>
#include <dlfcn.h>
#include <sys/socket.h>
#include <sys/types.h>

#include <cerrno>
#include <map>
#include <optional>
#include <set>

namespace esd {
namespace {

// What a connection sends first, and never later, is an ApiVersions request; see
// https://kafka.apache.org/protocol#protocol_messages: length 4, api key 2, version 2, correlation
// id 4, length of the client id 2, client id.
constexpr size_t kKeyAt = 4;
constexpr size_t kClientIdAt = 14;
constexpr uint8_t kApiVersionsKey = 18;

class Network {
 public:
  static Network& Get() {
    static auto* network = new Network;  // outlives all threads
    return *network;
  }

  void CutOff(const std::string& client_id) {
    absl::MutexLock lock(&mutex_);
    cut_.insert(client_id);
  }

  void Reconnect(const std::string& client_id) {
    absl::MutexLock lock(&mutex_);
    cut_.erase(client_id);
    // The stream lacks what was swallowed. Whoever has the descriptor by now, if it isn't the same
    // connection, can bear that a connection breaks.
    for (const int fd : swallowed_) {
      if (clients_[fd] == client_id) shutdown(fd, SHUT_RDWR);
    }
    std::erase_if(swallowed_, [&](int fd) { return clients_[fd] == client_id; });
  }

  // Whether what is sent is to be swallowed.
  bool SwallowsSent(int fd, const msghdr& message) {
    const std::optional<std::string> client_id = FirstRequestOf(message);
    absl::MutexLock lock(&mutex_);
    if (client_id) {
      clients_[fd] = *client_id;
      swallowed_.erase(fd);
    }
    return Swallows(fd);
  }

  // Whether what was received is to be swallowed.
  bool SwallowsReceived(int fd) {
    absl::MutexLock lock(&mutex_);
    return Swallows(fd);
  }

 private:
  bool Swallows(int fd) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const auto client = clients_.find(fd);
    if (client == clients_.end() || !cut_.contains(client->second)) return false;
    swallowed_.insert(fd);
    return true;
  }

  // The client id, when this is the first request of a connection.
  static std::optional<std::string> FirstRequestOf(const msghdr& message) {
    std::string bytes;
    for (size_t i = 0; i < message.msg_iovlen && bytes.size() < 256; ++i) {
      const iovec& part = message.msg_iov[i];
      bytes.append(static_cast<const char*>(part.iov_base), part.iov_len);
    }
    if (bytes.size() < kClientIdAt || bytes[kKeyAt] != 0 ||
        static_cast<uint8_t>(bytes[kKeyAt + 1]) != kApiVersionsKey) {
      return std::nullopt;
    }
    const size_t length = static_cast<uint8_t>(bytes[kClientIdAt - 1]);
    return bytes.substr(kClientIdAt, length);
  }

  absl::Mutex mutex_;
  std::set<std::string> cut_ ABSL_GUARDED_BY(mutex_);
  std::map<int, std::string> clients_ ABSL_GUARDED_BY(mutex_);  // of each connection
  std::set<int> swallowed_ ABSL_GUARDED_BY(mutex_);             // connections that lack something
};

}  // namespace

void CutOffClients(const std::string& client_id) { Network::Get().CutOff(client_id); }

void ReconnectClients(const std::string& client_id) { Network::Get().Reconnect(client_id); }

}  // namespace esd

extern "C" ssize_t sendmsg(int fd, const msghdr* message, int flags) {
  using SendMsg = ssize_t (*)(int, const msghdr*, int);
  static const auto next = reinterpret_cast<SendMsg>(dlsym(RTLD_NEXT, "sendmsg"));
  if (!esd::Network::Get().SwallowsSent(fd, *message)) return next(fd, message, flags);
  size_t size = 0;
  for (size_t i = 0; i < message->msg_iovlen; ++i) size += message->msg_iov[i].iov_len;
  return static_cast<ssize_t>(size);
}

extern "C" ssize_t recvmsg(int fd, msghdr* message, int flags) {
  using RecvMsg = ssize_t (*)(int, msghdr*, int);
  static const auto next = reinterpret_cast<RecvMsg>(dlsym(RTLD_NEXT, "recvmsg"));
  const ssize_t size = next(fd, message, flags);
  if (size <= 0 || !esd::Network::Get().SwallowsReceived(fd)) return size;
  errno = EAGAIN;
  return -1;
}
