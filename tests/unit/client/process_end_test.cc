// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/client/process_end.h"

#include <catch2/catch.hpp>

#include <csignal>
#include <cstdio>
#include <functional>
#include <optional>
#include <string>
#include <thread>

#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace csnap;
using namespace csnap::client;

namespace {

[[noreturn]] void sleep_for_ever() {
  for (;;) ::pause();
}

struct child {
  pid_t id;
  std::uint64_t start = 0;
  explicit child(const std::function<void()> &what = sleep_for_ever) : id(::fork()) {
    if (id == 0) {
      what();
      ::_exit(0);
    }
    start = start_of_process(pid()).value();
  }
  ~child() {
    kill();
    reap();
  }
  std::uint32_t pid() const { return static_cast<std::uint32_t>(id); }
  bool ended() const { return has_ended(pid(), start); }
  void kill() const {
    if (id > 0) ::kill(id, SIGKILL);
  }
  void reap() {
    if (id > 0) ::waitpid(id, nullptr, 0);
    id = -1;
  }
};

// Until the state in /proc/PID/stat is `wanted`.
void wait_for_state(pid_t pid, char wanted) {
  for (char state = 0; state != wanted; ::usleep(1000)) {
    std::FILE *in = std::fopen(("/proc/" + std::to_string(pid) + "/stat").c_str(), "r");
    REQUIRE(in != nullptr);
    REQUIRE(std::fscanf(in, "%*d (%*[^)]) %c", &state) == 1);
    std::fclose(in);
  }
}

// What `what` says in a child in a new pid namespace, whose /proc still shows the old one. None: not allowed here.
std::optional<unique_id> space_in_new_namespace() {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  child outer([&] {
    if (::unshare(CLONE_NEWPID) != 0) ::_exit(1);
    if (const pid_t inner = ::fork(); inner != 0) {
      ::waitpid(inner, nullptr, 0);
      ::_exit(0);
    }
    const unique_id space = read_process_space();
    if (::write(ends[1], space.bytes.data(), space.bytes.size()) < 0) ::_exit(1);
  });
  ::close(ends[1]);
  unique_id space;
  const bool came = ::read(ends[0], space.bytes.data(), space.bytes.size()) == ssize_t{16};
  ::close(ends[0]);
  return came ? std::optional(space) : std::nullopt;
}

}  // namespace

TEST_CASE("process end: a process has ended when it was killed, waited for or not") {
  child c;
  CHECK_FALSE(c.ended());
  const std::uint32_t pid = c.pid();
  c.kill();
  wait_for_state(c.id, 'Z');
  CHECK(c.ended());
  c.reap();
  CHECK(has_ended(pid, c.start));
}

TEST_CASE("process end: who has the pid now, but another start, is not the process") {
  child c;
  CHECK(has_ended(c.pid(), c.start - 1));
  CHECK(has_ended(c.pid(), c.start + 1));
  CHECK_FALSE(c.ended());
}

TEST_CASE("process end: a process whose first thread has ended lives on in the others") {
  child c([] {
    std::thread(sleep_for_ever).detach();
    ::syscall(SYS_exit, 0);  // of this thread only
  });
  wait_for_state(c.id, 'Z');
  CHECK_FALSE(c.ended());
  c.kill();
  c.reap();
}

TEST_CASE("process end: numbers that are no pid prove nothing") {
  CHECK_FALSE(has_ended(0, 1));
  CHECK_FALSE(has_ended(UINT32_MAX, 1));
}

TEST_CASE("process end: a space is that of kernel and namespaces, and zero where /proc is of another one") {
  const unique_id here = read_process_space();
  REQUIRE(here != unique_id{});
  CHECK(here == read_process_space());
  CHECK(is_same_kernel(here, here));
  unique_id other = here;
  other.bytes[15] ^= std::byte{1};
  CHECK(is_same_kernel(here, other));
  other.bytes[7] ^= std::byte{1};
  CHECK_FALSE(is_same_kernel(here, other));
  CHECK(start_of_this_process() == start_of_process(static_cast<std::uint32_t>(::getpid())));
  if (const auto blind = space_in_new_namespace()) CHECK(*blind == unique_id{});
  else WARN("no pid namespace could be made");
}
