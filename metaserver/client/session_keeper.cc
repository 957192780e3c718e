// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/client/session_keeper.h"

#include <algorithm>
#include <bit>

namespace csnap::client {

namespace {
constexpr std::int64_t hello_patience_ms = 3000;
constexpr std::int64_t renewal_patience_ms_min = 500;
constexpr std::int64_t idle_tick_ms = 1000;
constexpr std::uint32_t chunk_bytes_min = 4u << 10, chunk_bytes_max = 1u << 20;
}  // namespace

void session_keeper::hello_sent(boottime_ms now) {
  phase_ = phase::greeting;
  sent_ = now;
  unanswered_ = true;
}

result<> session_keeper::welcomed(const wire::welcome &w, term_id term, boottime_ms now) {
  if (term < term_) return fail(errc::stale, "the server's term " + to_text(term) + " is over");
  if (w.session == session_id{} || (session_ != session_id{} && w.session != session_))
    return fail(errc::invalid, "the server answered the hello with a wrong session");
  if (!std::has_single_bit(w.chunk_bytes) || w.chunk_bytes < chunk_bytes_min ||
      w.chunk_bytes > chunk_bytes_max)
    return fail(errc::invalid, "the server's chunk size is impossible");
  if (w.lease_ms == 0) return fail(errc::invalid, "the server gave a lease of no time");
  phase_ = phase::open;
  term_ = term;
  session_ = w.session;
  welcome_ = w;
  extend(w.lease_ms, now);
  return {};
}

void session_keeper::forget() {
  session_ = session_id{};
  lease_until_ = boottime_ms{};
}

bool session_keeper::renewal_due(boottime_ms now) const {
  return phase_ == phase::open && session_ != session_id{} && !unanswered_ &&
         now.value >= sent_.value + lease_ms_ / 3;
}

void session_keeper::renewal_sent(boottime_ms now) {
  sent_ = now;
  unanswered_ = true;
}

void session_keeper::renewed(std::uint32_t lease_ms, boottime_ms now) { extend(lease_ms, now); }

void session_keeper::extend(std::uint32_t lease_ms, boottime_ms now) {
  unanswered_ = false;
  lease_ms_ = lease_ms;
  lease_until_ = boottime_ms{(planted_.lease_from_answer ? now : sent_).value + lease_ms};
}

std::int64_t session_keeper::patience_ms() const {
  if (phase_ == phase::greeting) return hello_patience_ms;
  return std::max<std::int64_t>(lease_ms_ / 2, renewal_patience_ms_min);
}

bool session_keeper::peer_is_silent(boottime_ms now) const {
  return phase_ != phase::offline && unanswered_ && now.value >= sent_.value + patience_ms();
}

boottime_ms session_keeper::next_tick(boottime_ms now) const {
  if (phase_ == phase::offline || (phase_ == phase::open && session_ == session_id{}))
    return boottime_ms{now.value + idle_tick_ms};
  return boottime_ms{sent_.value + (unanswered_ ? patience_ms() : std::int64_t{lease_ms_ / 3})};
}

}  // namespace csnap::client
