// SPDX-License-Identifier: BSD-3-Clause
//
// A server_environment whose jobs the test runs, one by one, in the order that it likes.
#pragma once

#include "metaserver/server/environment.h"

#include <deque>
#include <map>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace csnap::test {

struct stopped : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class simple_environment final : public server::server_environment {
 public:
  struct job {
    std::function<void()> work, then;
  };
  std::map<server::worker, std::deque<job>> jobs;
  std::deque<std::function<void()>> posted;

  // The device work of the worker's next job; what follows from it waits.
  void work(server::worker who) {
    job next = std::move(jobs[who].front());
    jobs[who].pop_front();
    next.work();
    posted.push_back(std::move(next.then));
  }
  void run_posted() {
    while (!posted.empty()) {
      const auto next = std::move(posted.front());
      posted.pop_front();
      next();
    }
  }
  void run_all() {
    for (bool any = true; std::exchange(any, false);) {
      for (const auto who : {server::worker::log, server::worker::checkpoint, server::worker::proof})
        if (!jobs[who].empty()) work(who), any = true;
      run_posted();
    }
  }

  boottime_ms now() override { return boottime_ms{1000}; }
  std::int64_t unix_ms() override { return 1700000000000; }
  std::uint64_t random_bits() override { return ++random_; }
  void post(std::function<void()> what) override { posted.push_back(std::move(what)); }
  void set_timer(std::int64_t, std::function<void()>) override {}
  void cancel_timer() override {}
  void run(server::worker who, std::function<void()> job_work, std::function<void()> then) override {
    jobs[who].push_back({std::move(job_work), std::move(then)});
  }
  void end_jobs() override {}
  void limit_claims(wire::hello &) override {}
  void watch(const core::watch_process &, std::function<void(session_id)>) override {}
  void unwatch(session_id) override {}
  void log(server::log_level, const std::string &) override {}
  [[noreturn]] void stop_at_once(const std::string &what, const error &) override { throw stopped(what); }

 private:
  std::uint64_t random_ = 0;
};

}  // namespace csnap::test
