// SPDX-License-Identifier: BSD-3-Clause
//
// One connection to an NBD server with any number of requests in flight, from any threads. A thread of its
// own moves bytes; it is started by the first request, so that a program may fork() between opening and use.
// A connection that is lost stays lost: nbd_device makes another one.
#pragma once

#include "metaserver/base/result.h"

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include <libnbd.h>
#include <sys/types.h>
#include <unistd.h>

namespace csnap {

// Which writes no flush has covered yet. Counts on the safe side: a flush covers all or nothing.
class unflushed_writes {
 public:
  void begin() { ++in_flight_, ++issued_; }
  void end() { --in_flight_; }
  // Taken before a flush, given back after it succeeded. None: some write may not have been covered.
  std::optional<std::uint64_t> mark() const {
    const std::uint64_t issued = issued_;
    return in_flight_ == 0 ? std::optional(issued) : std::nullopt;
  }
  void flushed(std::uint64_t mark) {
    for (std::uint64_t old = flushed_; old < mark && !flushed_.compare_exchange_weak(old, mark);) {
    }
  }
  bool any() const { return issued_ != flushed_; }

 private:
  std::atomic<std::uint64_t> issued_{0}, in_flight_{0}, flushed_{0};
};

class nbd_connection {
 public:
  struct abilities {
    std::uint64_t size_bytes{};
    std::uint32_t block_bytes = 1;  // smallest unit that the server takes
    std::uint32_t request_bytes{};  // longest request that we send, a multiple of the former
    bool is_read_only{}, can_flush{}, can_fua{}, can_zero{}, can_fast_zero{};
  };

  // Errors: io (also when the server does not answer for 10 s), invalid (the URI).
  static result<std::shared_ptr<nbd_connection>> connect(const std::string &uri);
  // Precondition: no request is in flight.
  ~nbd_connection();
  nbd_connection(const nbd_connection &) = delete;
  nbd_connection &operator=(const nbd_connection &) = delete;

  const abilities &can() const { return abilities_; }
  // False when it was lost, or when its thread is in the process that we were forked from.
  bool is_usable() const { return !lost_ && (mover_pid_ == 0 || mover_pid_ == ::getpid()); }
  bool belongs_to_other_process() const { return mover_pid_ != 0 && mover_pid_ != ::getpid(); }

  // Calls `issue`, which sends one asynchronous command of libnbd with that completion callback, and waits
  // for its answer. Returns 0 or the errno that the server (or the loss of the connection) gave.
  using issue_function = std::function<std::int64_t(nbd_handle *, nbd_completion_callback)>;
  int run(const issue_function &issue);

  unflushed_writes writes;

 private:
  explicit nbd_connection(nbd_handle *handle) : handle_(handle) {}
  result<> negotiate(const std::string &uri);
  bool read_abilities();
  void start_mover();
  void move_bytes();
  void wake_mover();

  nbd_handle *const handle_;
  abilities abilities_;
  std::once_flag started_;
  std::unique_ptr<std::thread> mover_;
  int wake_fd_ = -1;
  std::atomic<pid_t> mover_pid_{0};
  std::atomic<bool> lost_{false};
  std::atomic<bool> stopping_{false};
};

}  // namespace csnap
