// SPDX-License-Identifier: BSD-3-Clause
#include "agent/server_process.h"

#include "agent/log.h"
#include "metaserver/client/client_runtime.h"

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>

#include <fcntl.h>
#include <spawn.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace csnap::agent {

namespace {

constexpr int lock_in_child = 3;

error system_error(const std::string &what, int number) {
  return fail(errc::io, what + ": " + std::strerror(number));
}

}  // namespace

result<> server_process::start() {
  if (command_.empty())
    return fail(errc::unsupported, "instance " + instance_ +
                                       " has no server here: start the agent with --instance " + instance_ +
                                       "=ARGUMENTS");
  if (pid_ != 0) return {};
  rule_.asked_for();
  (void)retry_.cancel();
  return launch();
}

result<> server_process::launch() {
  const int lock = ::open(lock_file_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock < 0) return system_error("cannot open " + lock_file_, errno);
  if (::flock(lock, LOCK_EX | LOCK_NB) != 0) {
    const int number = errno;
    ::close(lock);
    if (number != EWOULDBLOCK) return system_error("cannot lock " + lock_file_, number);
    state_ = "running, started before this agent";
    return {};
  }
  const auto child = spawn(lock);
  ::close(lock);  // the child has its own
  if (!child) {
    state_ = child.error().text;
    return child.error();
  }
  pid_ = *child;
  rule_.started(client::boottime_now());
  state_ = "running, process " + std::to_string(pid_);
  log(urgency::info, "instance " + instance_ + ": server started, process " + std::to_string(pid_));
  watch();
  return {};
}

// A session of its own, no descriptor of ours but the lock, and signals as a program expects them.
result<pid_t> server_process::spawn(int lock) const {
  std::vector<char *> arguments;
  for (const std::string &each : command_) arguments.push_back(const_cast<char *>(each.c_str()));
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;
  ::posix_spawn_file_actions_init(&files);
  ::posix_spawnattr_init(&attributes);
  ::posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&files, lock, lock_in_child);
  ::posix_spawn_file_actions_addclosefrom_np(&files, lock_in_child + 1);
  sigset_t all, none;
  ::sigfillset(&all);
  ::sigemptyset(&none);
  ::posix_spawnattr_setsigdefault(&attributes, &all);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setflags(&attributes,
                             POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
  pid_t pid = 0;
  const int failed = ::posix_spawnp(&pid, arguments[0], &files, &attributes, arguments.data(), environ);
  ::posix_spawn_file_actions_destroy(&files);
  ::posix_spawnattr_destroy(&attributes);
  if (failed != 0) return system_error("cannot start " + command_.front(), failed);
  return pid;
}

// A child that has ended keeps its pid until it is waited for, so this can be no other process.
void server_process::watch() {
  const int fd = static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0));
  if (fd < 0)
    return log(urgency::warning,
               "cannot watch process " + std::to_string(pid_) + ": " + std::strerror(errno));
  pidfd_.assign(fd);
  pidfd_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                    [this](const boost::system::error_code &failed) {
                      if (!failed) ended();
                    });
}

void server_process::ended() {
  boost::system::error_code ignored;
  (void)pidfd_.close(ignored);
  int status = 0;
  (void)::waitpid(pid_, &status, 0);
  pid_ = 0;
  // SIGTERM ends it before it can catch it, when it has hardly begun.
  const bool was_told = WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM;
  if (was_told || (WIFEXITED(status) && WEXITSTATUS(status) == 0)) {
    state_ = "stopped";
    return log(urgency::info, "instance " + instance_ + ": server stopped");
  }
  state_ = WIFEXITED(status) ? "ended with status " + std::to_string(WEXITSTATUS(status))
                             : "killed by signal " + std::to_string(WTERMSIG(status));
  const auto wait_ms = rule_.ended(client::boottime_now());
  state_ += wait_ms ? ", is started again" : ", too often: not started again";
  log(urgency::warning, "instance " + instance_ + ": server " + state_);
  if (!wait_ms) return;
  retry_.expires_after(std::chrono::milliseconds(*wait_ms));
  retry_.async_wait([this](const boost::system::error_code &cancelled) {
    if (cancelled || pid_ != 0) return;
    if (const auto again = launch(); !again)
      log(urgency::failure, "instance " + instance_ + ": " + again.error().text);
  });
}

}  // namespace csnap::agent
