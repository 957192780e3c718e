// SPDX-License-Identifier: BSD-3-Clause
//
// Virtual time and what lives in it: hosts with clocks of their own, processes that run, freeze, thaw and die,
// and events in the order of (time, number). Everything that happens goes through here, so the rolling hash of
// the events is the proof that a seed replays.
#pragma once

#include "metaserver/base/ids.h"
#include "tests/simulation/fiber.h"
#include "tests/simulation/prng.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace csnap::simulation {

using nanoseconds = std::int64_t;
constexpr nanoseconds microsecond = 1000, millisecond = 1000 * microsecond, second = 1000 * millisecond;

class world;

// A machine: its processes see its clocks, and a power cut or a suspend meets all of them.
struct host {
  unsigned number{};
  unique_id boot;
  std::int64_t rate_ppm = 0;  // how much faster than true time its clocks run
  nanoseconds slept = 0;      // BOOTTIME has it, MONOTONIC not
  nanoseconds wall_offset = 0;
  nanoseconds boottime_at_start = 0;

  std::string name() const { return "host" + std::to_string(number); }
  nanoseconds boottime(nanoseconds now) const { return boottime_at_start + now + now / 1000000 * rate_ppm; }
  nanoseconds monotonic(nanoseconds now) const { return boottime(now) - slept; }
};

class process {
 public:
  process(world &w, host &where, std::string name, std::uint32_t pid)
      : world_(w), host_(where), name_(std::move(name)), pid_(pid) {}
  process(const process &) = delete;
  process &operator=(const process &) = delete;

  host &where() const { return host_; }
  const std::string &name() const { return name_; }
  std::uint32_t pid() const { return pid_; }
  std::uint64_t started() const { return 1000u + pid_; }
  bool alive() const { return alive_; }
  bool frozen() const { return freezes_ > 0; }
  // Dead, and no I/O of it can land any more: what a pidfd shows, and what frees its locks.
  bool gone() const { return !alive_ && io_in_flight == 0; }

  void freeze() { ++freezes_; }
  void thaw();
  void kill();
  fiber &start(std::function<void()> body);

  unsigned io_in_flight = 0;
  std::vector<std::function<void()>> at_death;   // called at once: its connections end, ...
  std::vector<std::function<void()>> when_gone;  // called when no I/O of it can land any more
  void io_ended();

 private:
  friend class world;
  struct held {
    std::function<void()> what;
  };
  world &world_;
  host &host_;
  const std::string name_;
  const std::uint32_t pid_;
  bool alive_ = true;
  int freezes_ = 0;
  std::vector<held> held_;  // came due while it was frozen
  std::vector<std::unique_ptr<fiber>> fibers_;
};

class world {
 public:
  explicit world(std::uint64_t seed);
  ~world();
  world(const world &) = delete;
  world &operator=(const world &) = delete;

  nanoseconds now() const { return now_; }
  prng &chance() { return chance_; }  // of the schedule
  prng stream(std::string_view name) const { return seed_.stream(name); }

  host &add_host();
  process &add_process(host &where, std::string name);
  const std::vector<std::unique_ptr<process>> &processes() const { return processes_; }
  std::vector<std::unique_ptr<host>> &hosts() { return hosts_; }

  // Events of a dead process do not happen, those of a frozen one when it thaws. Null: the world's own.
  void at(nanoseconds when, process *whose, std::function<void()> what);
  void after(nanoseconds delay, process *whose, std::function<void()> what) {
    at(now_ + delay, whose, std::move(what));
  }
  // Runs until the time is over or `done` says so. False: too many events, somebody turns in circles.
  bool run_until(nanoseconds end, const std::function<bool()> &done);

  // ---- for fibers ----
  void sleep(nanoseconds how_long);
  // Waits for a wake(); false: `timeout` has passed (0: waits for ever).
  bool wait(nanoseconds timeout = 0);
  void wake(fiber &whom);
  [[noreturn]] void park();  // for ever
  // A point where another thread may run.
  void maybe_switch();

  // ---- the trace ----
  void note(std::uint64_t what) { hash_ = (hash_ ^ what) * 0x100000001b3u; }
  std::uint64_t hash() const { return hash_; }
  std::uint64_t events() const { return events_; }
  bool verbose = false;
  void say(const char *format, ...) __attribute__((format(printf, 2, 3)));

  std::uint64_t events_max = 2000000;
  unsigned switch_per_mille = 0;

  static world *current();

 private:
  friend class process;
  struct event {
    nanoseconds when;
    std::uint64_t number;
    process *whose;
    std::function<void()> what;
    bool operator<(const event &other) const {  // for a heap with the earliest on top
      return when != other.when ? when > other.when : number > other.number;
    }
  };
  void run_fiber(fiber &which);
  void schedule_wake(nanoseconds when, fiber &whom, bool is_timeout);
  void resume_waiting(fiber &whom, std::uint64_t wait_number, bool is_timeout);

  const prng seed_;
  prng chance_;
  nanoseconds now_ = 0;
  std::uint64_t last_number_ = 0, events_ = 0, hash_ = 0xcbf29ce484222325u;
  std::uint32_t last_pid_ = 0;
  std::vector<event> heap_;
  std::vector<std::unique_ptr<host>> hosts_;
  std::vector<std::unique_ptr<process>> processes_;
};

// The threads of one process that waits for work: production's io_context, in short.
class mailbox {
 public:
  mailbox(world &w, process &owner);
  void post(std::function<void()> what);

 private:
  struct shared;
  std::shared_ptr<shared> shared_;
};

}  // namespace csnap::simulation
