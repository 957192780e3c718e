// SPDX-License-Identifier: BSD-3-Clause
//
// The engine `file`: whoever holds the store_lock is the master. For one host. It cannot split, for one
// kernel decides, and the death of the holder is what frees the lock: the predecessor is known dead.
#pragma once

#include "metaserver/election/election.h"
#include "metaserver/election/store_lock.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <chrono>

namespace csnap {

class file_election final : public election {
 public:
  file_election(boost::asio::io_context &io, store_lock lock) : lock_(std::move(lock)), retry_(io) {}

  void acquire(events what_happens) override;
  void release() override;
  bool can_split() const override { return false; }

 private:
  // A blocking wait would need a thread that cannot be cancelled; a try costs about a microsecond.
  static constexpr std::chrono::milliseconds retry_interval{20};
  void try_at(std::chrono::milliseconds delay);
  void try_now();

  store_lock lock_;
  boost::asio::steady_timer retry_;
  events events_;
};

}  // namespace csnap
