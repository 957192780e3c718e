// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/server/fence_command.h"

#include "metaserver/server/log.h"

#include <cerrno>
#include <csignal>
#include <cstring>

#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

namespace csnap::server {
namespace {

// Nothing of ours is inherited: our sockets must end with us, whatever the command does. It leads a process group,
// so that all of it can be killed.
int spawn_shell(const std::string &command, const std::string &node, pid_t *child) {
  posix_spawn_file_actions_t files;
  if (const int failed = ::posix_spawn_file_actions_init(&files); failed != 0) return failed;
  int failed = ::posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  if (failed == 0) failed = ::posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 1);
  std::string shell = "sh", flag = "-c", script = command + " \"$1\"", name = "fence", argument = node;
  posix_spawnattr_t attributes;
  if (failed == 0) failed = ::posix_spawnattr_init(&attributes);
  if (failed != 0) {
    ::posix_spawn_file_actions_destroy(&files);
    return failed;
  }
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  char *const arguments[] = {shell.data(), flag.data(), script.data(), name.data(), argument.data(), nullptr};
  failed = ::posix_spawn(child, "/bin/sh", &files, &attributes, arguments, environ);
  ::posix_spawnattr_destroy(&attributes);
  ::posix_spawn_file_actions_destroy(&files);
  return failed;
}

}  // namespace

bool fence_command::is_free_for(const std::string &node, std::int64_t now_ms) const {
  const auto before = begun_ms_.find(node);
  if (running_.contains(node) || running_.size() >= running_max) return false;
  return before == begun_ms_.end() || now_ms - before->second >= pause_after_failure_ms;
}

void fence_command::run(const std::string &node, std::int64_t now_ms, std::function<void()> fenced) {
  begun_ms_[node] = now_ms;
  log(log_level::warning, "fencing node " + node);
  pid_t child = 0;
  const int failed = spawn_shell(command_, node, &child);
  if (failed != 0)
    return log(log_level::failure, std::string("the fence command cannot be run: ") + std::strerror(failed));
  const int fd = static_cast<int>(::syscall(SYS_pidfd_open, child, 0));
  if (fd < 0) {  // then its end cannot be waited for beside the service, and it proves nothing
    const int why = errno;
    ::kill(-child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    return log(log_level::failure, std::string("the fence command cannot be watched: ") + std::strerror(why));
  }
  running &begun = *running_.emplace(node, std::make_unique<running>(io_, child, fd)).first->second;
  begun.pidfd.async_wait(
      boost::asio::posix::stream_descriptor::wait_read,
      [this, node, child, fenced = std::move(fenced)](const boost::system::error_code &cancelled) {
        if (cancelled) return;
        int status = 0;
        const bool known = ::waitpid(child, &status, 0) == child;
        running_.erase(node);
        ended(node, known ? status : -1, fenced);
      });
  begun.limit.expires_after(limit_);
  begun.limit.async_wait([this, node, child](const boost::system::error_code &cancelled) {
    if (cancelled) return;
    const auto hangs = running_.find(node);
    if (hangs == running_.end() || hangs->second->child != child) return;
    log(log_level::failure, "the fence command for node " + node + " takes too long: it is killed");
    ::kill(-child, SIGKILL);  // it is not reaped yet, so the number is still its own
  });
}

void fence_command::ended(const std::string &node, int status, const std::function<void()> &fenced) {
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
    begun_ms_.erase(node);
    log(log_level::warning, "node " + node + " is fenced");
    return fenced();
  }
  const std::string how = WIFEXITED(status)     ? "exit status " + std::to_string(WEXITSTATUS(status))
                          : WIFSIGNALED(status) ? "signal " + std::to_string(WTERMSIG(status))
                                                : "its end was not seen";
  log(log_level::failure,
      "the fence command failed for node " + node + " (" + how + "): nothing of that node is given away");
}

}  // namespace csnap::server
