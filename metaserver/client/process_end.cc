// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/client/process_end.h"

#include "metaserver/base/byte_writer.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <fstream>
#include <span>
#include <sstream>
#include <string>

#include <poll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace csnap::client {
namespace {

constexpr std::size_t kernel_bytes = 8;  // of a space

// A UUID in text. Zero if it cannot be read.
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

// 0: this kernel has no such namespaces. None: not known.
std::optional<std::uint32_t> namespace_inode(const char *path) {
  struct stat found {};
  if (::stat(path, &found) == 0) return static_cast<std::uint32_t>(found.st_ino);
  return errno == ENOENT ? std::optional<std::uint32_t>(0) : std::nullopt;
}

// A process is listed under one number for each pid namespace from that of /proc down to its own.
bool proc_shows_our_pids() {
  std::ifstream in("/proc/self/status");
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line);
    std::string name, pid, next;
    if (words >> name && name == "NSpid:")
      return words >> pid && pid == std::to_string(::getpid()) && !(words >> next);
  }
  return false;
}

std::optional<std::uint64_t> read_start(const std::string &path) {
  std::string stat;
  std::getline(std::ifstream(path), stat, '\0');
  const auto name_end = stat.rfind(')');  // field 2, the only one that may hold anything
  if (name_end == std::string::npos) return std::nullopt;
  std::istringstream fields(stat.substr(name_end + 1));
  std::string field;
  for (int number = 3; number < 22; ++number) fields >> field;
  std::uint64_t start = 0;
  if (!(fields >> start)) return std::nullopt;
  return start;
}

}  // namespace

unique_id read_process_space() {
  const unique_id boot = read_boot_id();
  const auto pids = namespace_inode("/proc/self/ns/pid");
  const auto times = namespace_inode("/proc/self/ns/time");
  if (boot == unique_id{} || !pids || *pids == 0 || !times || !proc_shows_our_pids()) return {};
  byte_writer out;
  out.raw(std::span(boot.bytes).first(kernel_bytes));
  out.u32(*pids);
  out.u32(*times);
  unique_id space;
  std::copy(out.bytes().begin(), out.bytes().end(), space.bytes.begin());
  return space;
}

bool is_same_kernel(const unique_id &space, const unique_id &other) {
  return std::equal(space.bytes.begin(), space.bytes.begin() + kernel_bytes, other.bytes.begin());
}

std::optional<std::uint64_t> start_of_process(std::uint32_t pid) {
  return read_start("/proc/" + std::to_string(pid) + "/stat");
}

std::optional<std::uint64_t> start_of_this_process() { return read_start("/proc/self/stat"); }

// The pidfd is taken first and the start compared after, so that the process cannot be exchanged in between. If the
// start cannot be read this may be a later process with that pid; when that one has ended, so has the one before.
bool has_ended(std::uint32_t pid, std::uint64_t start) {
  const int fd = static_cast<int>(::syscall(SYS_pidfd_open, static_cast<pid_t>(pid), 0));
  if (fd < 0 && errno == ESRCH) return true;
  const auto start_now = start_of_process(pid);
  if (start_now && *start_now != start) {
    if (fd >= 0) ::close(fd);
    return true;
  }
  if (fd < 0) return false;
  // Readable when the last thread has ended: a thread that waits for its I/O has not.
  pollfd watched{fd, POLLIN, 0};
  const bool all_threads_ended = ::poll(&watched, 1, 0) == 1 && (watched.revents & POLLIN) != 0;
  ::close(fd);
  return all_threads_ended;
}

}  // namespace csnap::client
