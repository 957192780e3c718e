// SPDX-License-Identifier: BSD-3-Clause
//
// What the server is told about this process, so that its end can be proved later: see process_end.h.
#include "metaserver/base/check.h"
#include "metaserver/client/client_runtime.h"
#include "metaserver/client/process_end.h"

#include <array>
#include <cerrno>
#include <ctime>

#include <sys/random.h>
#include <unistd.h>

namespace csnap::client {

boottime_ms boottime_now() {
  timespec t{};
  check(clock_gettime(CLOCK_BOOTTIME, &t) == 0, "no CLOCK_BOOTTIME");
  return boottime_ms{std::int64_t{t.tv_sec} * 1000 + t.tv_nsec / 1000000};
}

unique_id random_unique_id() {
  unique_id id;
  std::size_t done = 0;
  while (done < id.bytes.size()) {
    const ssize_t got = getrandom(id.bytes.data() + done, id.bytes.size() - done, 0);
    check(got > 0 || errno == EINTR, "no random numbers");
    if (got > 0) done += static_cast<std::size_t>(got);
  }
  return id;
}

machine_options describe_this_process() {
  machine_options o;
  std::array<char, 256> name{};
  if (gethostname(name.data(), name.size() - 1) == 0) o.node = name.data();
  o.pid = static_cast<std::uint32_t>(getpid());
  o.process_start = start_of_this_process().value_or(0);
  // Whoever looked later would find another start than 0, and take us for ended.
  if (o.process_start != 0) o.boot = read_process_space();
  o.secret = random_unique_id();
  return o;
}

}  // namespace csnap::client
