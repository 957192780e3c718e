// SPDX-License-Identifier: BSD-3-Clause
//
// Everything that a master needs from the world around it: time, chance, threads for device work, knowledge
// of other processes, and an end. Production has it from Asio and the kernel (asio_environment), the
// simulator from its virtual world; the master and its commit loop are the same objects in both.
//
// All calls but stop_at_once() come from the thread that owns the master; everything that is called back, but
// jobs, runs there.
#pragma once

#include "metaserver/base/result.h"
#include "metaserver/core/server_core.h"
#include "metaserver/server/log.h"
#include "metaserver/wire/messages.h"

#include <cstdint>
#include <functional>
#include <string>

namespace csnap::server {

// Each does one job after the other; different ones work side by side.
enum class worker : std::uint8_t { log, checkpoint, proof };

class server_environment {
 public:
  virtual boottime_ms now() = 0;
  virtual std::int64_t unix_ms() = 0;       // wall clock, only ever shown to people
  virtual std::uint64_t random_bits() = 0;  // that nobody can guess

  // Runs after what is ready already.
  virtual void post(std::function<void()> what) = 0;
  // One timer: setting it again replaces what it was set to. It may stand still while the machine sleeps.
  virtual void set_timer(std::int64_t wait_ms, std::function<void()> what) = 0;
  virtual void cancel_timer() = 0;

  // Runs `job`, which may block, on the worker's thread, then `then` on the owner's.
  virtual void run(worker who, std::function<void()> job, std::function<void()> then) = 0;
  // Returns when no job is under way. No `then` is called after the owner's loop has ended.
  virtual void end_jobs() = 0;

  // What a hello says of its process is made to claim no more than can be seen, from here or by an agent there.
  virtual void limit_claims(wire::hello &said) = 0;
  // Reports, never from within this call, that the process is gone for good with all its I/O.
  virtual void watch(const core::watch_process &whom, std::function<void(session_id)> died) = 0;
  virtual void unwatch(session_id session) = 0;

  virtual void log(log_level level, const std::string &text) = 0;
  // Nothing may be acknowledged any more, by no thread; what the store holds now is what counts.
  [[noreturn]] virtual void stop_at_once(const std::string &what, const error &why) = 0;

 protected:
  ~server_environment() = default;
};

}  // namespace csnap::server
