// SPDX-License-Identifier: BSD-3-Clause
//
// The environment of a master in a real process: an io_context's thread owns it, each worker is a thread.
#pragma once

#include "metaserver/server/environment.h"
#include "metaserver/server/process_watch.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>

#include <array>

namespace csnap::server {

class asio_environment final : public server_environment {
 public:
  // `one_host`: see own_place.
  asio_environment(boost::asio::io_context &io, bool one_host);
  ~asio_environment();
  asio_environment(const asio_environment &) = delete;
  asio_environment &operator=(const asio_environment &) = delete;

  boottime_ms now() override;
  std::int64_t unix_ms() override;
  std::uint64_t random_bits() override;
  void post(std::function<void()> what) override;
  void set_timer(std::int64_t wait_ms, std::function<void()> what) override;
  void cancel_timer() override;
  void run(worker who, std::function<void()> job, std::function<void()> then) override;
  void end_jobs() override;
  void limit_claims(wire::hello &said) override;
  void watch(const core::watch_process &whom, std::function<void(session_id)> died) override;
  void unwatch(session_id session) override;
  void log(log_level level, const std::string &text) override;
  [[noreturn]] void stop_at_once(const std::string &what, const error &why) override;

 private:
  boost::asio::io_context &io_;
  const own_place own_;
  boost::asio::steady_timer timer_;
  std::function<void(session_id)> died_;
  process_watch processes_;
  std::array<boost::asio::thread_pool, 3> workers_;
};

}  // namespace csnap::server
