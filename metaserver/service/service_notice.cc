// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/service/service_notice.h"

#include <systemd/sd-daemon.h>

#include <cstdint>
#include <cstdlib>

namespace csnap::service {

namespace {

// A lost word is said again, or is only a status: systemd decides what to do without it.
void tell(const std::string &words) { (void)::sd_notify(0, words.c_str()); }

}  // namespace

service_notice::service_notice(boost::asio::io_context &io, std::function<std::string()> status)
    : timer_(io), status_(std::move(status)) {
  std::uint64_t within_us = 0;
  is_watched_ = ::sd_watchdog_enabled(0, &within_us) > 0;
}

void service_notice::ready() {
  if (std::getenv("NOTIFY_SOCKET") == nullptr) return;
  tell("READY=1");
  tell_every_second();
}

void service_notice::stopping() {
  timer_.cancel();
  tell("STOPPING=1\nSTATUS=stopping");
}

// Whatever interval the unit has, one word in a second is often enough, and little.
void service_notice::tell_every_second() {
  if (const std::string now = status_(); now != told_) {
    told_ = now;
    tell("STATUS=" + now);
  }
  if (is_watched_) tell("WATCHDOG=1");
  timer_.expires_after(std::chrono::seconds(1));
  timer_.async_wait([this](const boost::system::error_code &cancelled) {
    if (!cancelled) tell_every_second();
  });
}

}  // namespace csnap::service
