// SPDX-License-Identifier: BSD-3-Clause
//
// What the server is told about this process, so that its death can be proved later: which kernel it runs
// under, its pid there, and when it started (a pid alone may be another process by then).
#include "metaserver/base/check.h"
#include "metaserver/client/client_runtime.h"

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <ctime>
#include <fstream>
#include <string>

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

namespace {

// A UUID in text. Zero if it cannot be read: the server then has no proof of death, which is safe.
unique_id read_boot_id() {
  std::string text;
  std::getline(std::ifstream("/proc/sys/kernel/random/boot_id"), text);
  std::erase(text, '-');
  unique_id id;
  if (text.size() != 2 * id.bytes.size()) return id;
  for (std::size_t i = 0; i < id.bytes.size(); ++i) {
    unsigned value = 0;
    const char *at = text.data() + 2 * i;
    if (std::from_chars(at, at + 2, value, 16).ptr != at + 2) return unique_id{};
    id.bytes[i] = static_cast<std::byte>(value);
  }
  return id;
}

// Field 22 of /proc/self/stat. Field 2, the name, may hold spaces and brackets: counted from its end.
std::uint64_t read_process_start() {
  std::string text;
  std::getline(std::ifstream("/proc/self/stat"), text);
  std::size_t at = text.rfind(')');
  for (int field = 2; field < 22 && at != std::string::npos; ++field) at = text.find(' ', at + 1);
  std::uint64_t start = 0;
  if (at != std::string::npos) (void)std::from_chars(text.data() + at + 1, text.data() + text.size(), start);
  return start;
}

}  // namespace

machine_options describe_this_process() {
  machine_options o;
  std::array<char, 256> name{};
  if (gethostname(name.data(), name.size() - 1) == 0) o.node = name.data();
  o.boot = read_boot_id();
  o.pid = static_cast<std::uint32_t>(getpid());
  o.process_start = read_process_start();
  o.secret = random_unique_id();
  return o;
}

}  // namespace csnap::client
