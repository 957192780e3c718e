// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/server/process_watch.h"

#include "metaserver/client/process_end.h"
#include "metaserver/server/log.h"

#include <boost/asio/post.hpp>

#include <cerrno>
#include <cstring>
#include <string>

#include <sys/syscall.h>
#include <unistd.h>

namespace csnap::server {

namespace asio = boost::asio;

void trust_only_visible_process(wire::hello &said, const own_place &own) {
  const bool opens_a_session = said.role == wire::client_role::node && said.resume == session_id{};
  if (!opens_a_session) return;
  if (said.boot == unique_id{} || said.process_start == 0) said.io_ends_with_process = false;
  else if (said.boot != own.space) said.io_ends_with_process &= !own.one_host;
  else if (client::start_of_process(said.pid) != said.process_start) said.io_ends_with_process = false;
}

void process_watch::watch(const core::watch_process &whom) {
  const bool is_visible = whom.boot == own_.space && whom.boot != unique_id{};
  const bool ended_with_its_kernel = own_.one_host && whom.node == own_.node && own_.space != unique_id{} &&
                                     !client::is_same_kernel(whom.boot, own_.space);
  if (!is_visible && !ended_with_its_kernel) return;
  unwatch(whom.session);
  const auto entry = std::make_shared<watched>(io_);
  watched_[whom.session] = entry;
  const auto is_dead = [&] {
    asio::post(io_, [this, session = whom.session, entry] { report(session, entry); });
  };
  // The server that opened the session saw the process under its own kernel; that kernel is gone.
  if (ended_with_its_kernel) return is_dead();
  const int fd = static_cast<int>(::syscall(SYS_pidfd_open, static_cast<pid_t>(whom.pid), 0));
  const bool nobody_has_this_pid = fd < 0 && errno == ESRCH;
  if (fd < 0 && !nobody_has_this_pid) {
    log(log_level::warning, "cannot watch process " + std::to_string(whom.pid) + ": " + std::strerror(errno));
    return;
  }
  if (fd >= 0) entry->pidfd.assign(fd);
  const auto start = client::start_of_process(whom.pid);
  if (nobody_has_this_pid || (start && *start != whom.process_start)) return is_dead();
  // A pidfd becomes readable when the last thread of the process has ended. Where its start could not be read
  // this may be a later process with that pid: its end then comes after the one that we wait for.
  entry->pidfd.async_wait(asio::posix::stream_descriptor::wait_read,
                          [this, session = whom.session, entry](const boost::system::error_code &failed) {
                            if (!failed) report(session, entry);
                          });
}

// The wait holds the entry: without the close the descriptor would stay as long as the process lives.
void process_watch::unwatch(session_id session) {
  const auto found = watched_.find(session);
  if (found == watched_.end()) return;
  boost::system::error_code ignored;
  (void)found->second->pidfd.close(ignored);
  watched_.erase(found);
}

void process_watch::report(session_id session, const std::shared_ptr<watched> &entry) {
  const auto found = watched_.find(session);
  if (found == watched_.end() || found->second != entry) return;  // not watched any more
  watched_.erase(found);
  died_(session);
}

}  // namespace csnap::server
