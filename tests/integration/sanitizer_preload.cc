// SPDX-License-Identifier: BSD-3-Clause
//
// Preloaded into nbdkit after the runtime of a sanitizer (g++ 12's), to make good what that lacks.
#include <cstdlib>
#include <ctime>

#include <pthread.h>

namespace {

// The runtime prepares itself at the first malloc. In nbdkit that would be one inside of newlocale(), in
// libp11-kit's constructor; the runtime then asks for a translated message, and the C library's lock on
// locales, taken and given back twice by one thread, is broken: nbdkit hangs when it ends. This library is
// linked so that its constructor runs before those of all others.
[[gnu::constructor]] void prepare_the_sanitizer() {
  void *volatile something = std::malloc(1);
  std::free(something);
}

timespec until_of_realtime(clockid_t clock, const timespec &until) {
  constexpr long second_ns = 1'000'000'000;
  timespec then{}, now{};
  clock_gettime(clock, &then);
  clock_gettime(CLOCK_REALTIME, &now);
  timespec out{now.tv_sec + until.tv_sec - then.tv_sec, now.tv_nsec + until.tv_nsec - then.tv_nsec};
  while (out.tv_nsec < 0) out = {out.tv_sec - 1, out.tv_nsec + second_ns};
  while (out.tv_nsec >= second_ns) out = {out.tv_sec + 1, out.tv_nsec - second_ns};
  return out;
}

}  // namespace

// ThreadSanitizer does not know this way to lock, which std::timed_mutex takes, and complains at the unlock.
extern "C" int pthread_mutex_clocklock(pthread_mutex_t *mutex, clockid_t clock, const timespec *until) {
  const timespec realtime = until_of_realtime(clock, *until);
  return pthread_mutex_timedlock(mutex, &realtime);
}
