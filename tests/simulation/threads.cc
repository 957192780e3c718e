// SPDX-License-Identifier: BSD-3-Clause
//
// Threads, mutexes, conditions and clocks as fibers and virtual time: this executable's own definitions of the
// functions that std::thread, std::mutex, std::condition_variable and std::chrono's clocks come down to. So the
// plugin's data path runs unchanged and deterministically. Outside of a run there is one thread, which never
// waits.
#include "metaserver/base/check.h"
#include "tests/simulation/world.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <pthread.h>
#include <time.h>

#include <sys/syscall.h>
#include <unistd.h>

using csnap::check;
using csnap::simulation::fiber;
using csnap::simulation::nanoseconds;
using csnap::simulation::world;

namespace {

// What takes the place of a mutex's and a condition's own content. All zero is the initial state of both.
struct mutex_state {
  fiber *holder;
  fiber *first_waiter;
};
struct condition_state {
  fiber *first_waiter;
};
static_assert(sizeof(mutex_state) <= sizeof(pthread_mutex_t));
static_assert(sizeof(condition_state) <= sizeof(pthread_cond_t));

mutex_state &state_of(pthread_mutex_t *m) { return *reinterpret_cast<mutex_state *>(m); }
condition_state &state_of(pthread_cond_t *c) { return *reinterpret_cast<condition_state *>(c); }

void enqueue(fiber *&first, fiber &who) {
  who.next_waiter = nullptr;
  fiber **at = &first;
  while (*at != nullptr) at = &(*at)->next_waiter;
  *at = &who;
}
void dequeue(fiber *&first, const fiber &who) {
  for (fiber **at = &first; *at != nullptr; at = &(*at)->next_waiter)
    if (*at == &who) {
      *at = who.next_waiter;
      return;
    }
}

void lock(mutex_state &m) {
  fiber *self = fiber::current();
  if (self == nullptr) {
    check(m.holder == nullptr, "the only thread waits for a lock");
    return;
  }
  while (m.holder != nullptr) {
    check(m.holder != self, "a mutex is locked twice");
    enqueue(m.first_waiter, *self);
    world::current()->wait();
    dequeue(m.first_waiter, *self);
  }
  m.holder = self;
}

void unlock(mutex_state &m) {
  if (fiber::current() == nullptr) return;
  m.holder = nullptr;
  if (m.first_waiter != nullptr) world::current()->wake(*m.first_waiter);
}

// False: the time is over.
bool wait(condition_state &c, mutex_state &m, nanoseconds timeout) {
  fiber *self = fiber::current();
  check(self != nullptr, "the only thread waits for a condition");
  enqueue(c.first_waiter, *self);
  unlock(m);
  const bool woken = world::current()->wait(timeout);
  dequeue(c.first_waiter, *self);
  lock(m);
  return woken;
}

nanoseconds nanoseconds_of(const timespec &t) {
  return static_cast<nanoseconds>(t.tv_sec) * csnap::simulation::second + t.tv_nsec;
}

nanoseconds clock_of_fiber(clockid_t which) {
  const auto &host = fiber::current()->owner()->where();
  const nanoseconds now = world::current()->now();
  switch (which) {
    case CLOCK_BOOTTIME: return host.boottime(now);
    case CLOCK_MONOTONIC: return host.monotonic(now);
    default: return host.boottime(now) + host.wall_offset + 1700000000 * csnap::simulation::second;
  }
}

nanoseconds time_left(clockid_t which, const timespec *deadline) {
  return std::max<nanoseconds>(1, nanoseconds_of(*deadline) - clock_of_fiber(which));
}

}  // namespace

extern "C" {

int pthread_mutex_init(pthread_mutex_t *m, const pthread_mutexattr_t *) noexcept {
  std::memset(m, 0, sizeof *m);
  return 0;
}
int pthread_mutex_destroy(pthread_mutex_t *) noexcept { return 0; }
int pthread_mutex_lock(pthread_mutex_t *m) noexcept {
  if (world::current() != nullptr) world::current()->maybe_switch();
  lock(state_of(m));
  return 0;
}
int pthread_mutex_trylock(pthread_mutex_t *m) noexcept {
  if (fiber::current() == nullptr) return 0;
  if (state_of(m).holder != nullptr) return EBUSY;
  state_of(m).holder = fiber::current();
  return 0;
}
int pthread_mutex_unlock(pthread_mutex_t *m) noexcept {
  unlock(state_of(m));
  if (world::current() != nullptr) world::current()->maybe_switch();
  return 0;
}

int pthread_cond_init(pthread_cond_t *c, const pthread_condattr_t *) noexcept {
  std::memset(c, 0, sizeof *c);
  return 0;
}
int pthread_cond_destroy(pthread_cond_t *) noexcept { return 0; }
int pthread_cond_wait(pthread_cond_t *c, pthread_mutex_t *m) {
  wait(state_of(c), state_of(m), 0);
  return 0;
}
int pthread_cond_clockwait(pthread_cond_t *c, pthread_mutex_t *m, clockid_t which, const timespec *deadline) {
  return wait(state_of(c), state_of(m), time_left(which, deadline)) ? 0 : ETIMEDOUT;
}
int pthread_cond_timedwait(pthread_cond_t *c, pthread_mutex_t *m, const timespec *deadline) {
  return pthread_cond_clockwait(c, m, CLOCK_REALTIME, deadline);
}
int pthread_cond_signal(pthread_cond_t *c) noexcept {
  fiber *first = state_of(c).first_waiter;
  if (first == nullptr) return 0;
  dequeue(state_of(c).first_waiter, *first);
  world::current()->wake(*first);
  return 0;
}
int pthread_cond_broadcast(pthread_cond_t *c) noexcept {
  while (state_of(c).first_waiter != nullptr) pthread_cond_signal(c);
  return 0;
}

int pthread_create(pthread_t *made, const pthread_attr_t *, void *(*run)(void *), void *with) noexcept {
  fiber *self = fiber::current();
  check(self != nullptr && self->owner() != nullptr, "a thread outside of a simulated process");
  fiber &thread = self->owner()->start([run, with] { run(with); });
  *made = reinterpret_cast<pthread_t>(&thread);
  return 0;
}
int pthread_join(pthread_t whom, void **) {
  fiber *thread = reinterpret_cast<fiber *>(whom);
  fiber *self = fiber::current();
  while (!thread->ended()) {
    thread->when_ended = [self] { world::current()->wake(*self); };
    world::current()->wait();
  }
  return 0;
}

int clock_gettime(clockid_t which, timespec *out) noexcept {
  if (fiber::current() == nullptr || fiber::current()->owner() == nullptr)
    return static_cast<int>(::syscall(SYS_clock_gettime, which, out));
  const nanoseconds now = clock_of_fiber(which);
  out->tv_sec = now / csnap::simulation::second;
  out->tv_nsec = now % csnap::simulation::second;
  return 0;
}

}  // extern "C"
