// SPDX-License-Identifier: BSD-3-Clause
//
// A thread of the simulated world: a stack of its own on the one real thread. It runs until it blocks; then
// the scheduler goes on. A fiber of a process that was killed is never resumed: its stack is used again.
#pragma once

#include <cstdint>
#include <functional>

#include <setjmp.h>

namespace csnap::simulation {

class process;

class fiber {
 public:
  fiber(process *owner, std::function<void()> body);
  ~fiber();
  fiber(const fiber &) = delete;
  fiber &operator=(const fiber &) = delete;

  // By the scheduler: runs the fiber until it blocks or ends.
  void resume();
  // By the fiber itself: back to the scheduler.
  static void suspend();
  static fiber *current();
  // Forgets what was running: after a jump out of a fiber, at the end of a run.
  static void abandon_all();

  process *owner() const { return owner_; }
  bool ended() const { return ended_; }

  // For whoever lets it wait: a wake-up that names another wait than the present one is late and ignored.
  std::uint64_t wait_number = 0;
  bool is_waiting = false;
  bool timed_out = false;
  fiber *next_waiter = nullptr;      // in the queue of a mutex or condition
  std::function<void()> when_ended;  // wakes who joins it

 private:
  static void entry();

  process *const owner_;
  std::function<void()> body_;
  void *stack_ = nullptr;
  jmp_buf here_;
  bool started_ = false, ended_ = false;
};

}  // namespace csnap::simulation
