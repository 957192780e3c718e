// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/attach/link_keeper.h"

#include "metaserver/base/check.h"

#include <algorithm>
#include <cstdio>

namespace csnap::attach {
namespace {

using ms = link_keeper::ms;

constexpr ms first_pause{100};
constexpr ms longest_pause{1000};
// A link that dies sooner than this did not really come back: no hot loop with a server that ends at once.
constexpr ms proven_alive{5000};

std::string seconds_text(ms time) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f s", static_cast<double>(time.count()) / 1000);
  return text;
}

}  // namespace

link_keeper::link_keeper(export_facts attached, ms dead_timeout, ms now, say tell)
    : attached_(std::move(attached)),
      dead_timeout_(dead_timeout),
      tell_(std::move(tell)),
      alive_since_(now) {}

link_keeper::deed link_keeper::next(ms now) {
  switch (state_) {
    case state::steady: return deed::wait;
    case state::leaving: return deed::disconnect;
    case state::ended: return deed::end;
    case state::broken: break;
  }
  if (!io_fails_told_ && now - broken_since_ >= dead_timeout_) {
    io_fails_told_ = true;
    tell_("no server for " + seconds_text(now - broken_since_) + ": the kernel fails I/O until one is back");
  }
  return now >= try_at_ ? deed::connect : deed::wait;
}

ms link_keeper::due() const { return state_ == state::broken ? try_at_ : ms::max(); }

void link_keeper::link_died(ms now) {
  if (state_ != state::steady) return;
  state_ = state::broken;
  broken_since_ = now;
  io_fails_told_ = false;
  told_.clear();
  pause_ = now - alive_since_ >= proven_alive ? ms(0) : std::clamp(2 * pause_, first_pause, longest_pause);
  try_at_ = now + pause_;
  tell_("the connection died: connecting again");
}

result<> link_keeper::may_go_on(const export_facts &now_served, ms now) {
  auto same = is_the_same_export(attached_, now_served);
  if (!same) not_connected("refused to go on: " + same.error().text, now);
  return same;
}

void link_keeper::connected(ms now) {
  check(state_ == state::broken, "connected without need");
  state_ = state::steady;
  alive_since_ = now;
  tell_("connected again after " + seconds_text(now - broken_since_));
}

void link_keeper::not_connected(const std::string &why, ms now) {
  if (state_ != state::broken) return;
  if (why != told_) tell_(why + "; trying again");
  told_ = why;
  pause_ = std::clamp(2 * pause_, first_pause, longest_pause);
  try_at_ = now + pause_;
}

void link_keeper::asked_to_end(const std::string &user) {
  if (state_ == state::ended) return;
  if (user.empty()) state_ = state::leaving;
  else tell_("asked to end, but the device is " + user + ": it stays attached and watched until that ends");
}

void link_keeper::device_gone() {
  if (state_ == state::ended) return;
  state_ = state::ended;
  tell_("the device was detached");
}

}  // namespace csnap::attach
