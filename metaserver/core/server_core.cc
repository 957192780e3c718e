// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/core/server_core.h"

#include "metaserver/base/check.h"
#include "metaserver/core/server_impl.h"

#include <type_traits>

namespace csnap::core {

namespace {

template <class Message, class... Kinds>
constexpr bool is_one_of = (std::is_same_v<Message, Kinds> || ...);

// Messages that are never answered.
bool is_one_way(const wire::message &m) {
  return std::visit(
      []<class M>(const M &) {
        return is_one_of<M, wire::drop, wire::recall_answer, wire::snapshot_gone_answer, wire::freeze_answer>;
      },
      m);
}

bool tool_may_send(const wire::message &m) {
  return std::visit(
      []<class M>(const M &) {
        return is_one_of<M, wire::list, wire::diff, wire::create, wire::remove, wire::rename,
                         wire::set_volume, wire::set_snapshot, wire::hold, wire::release, wire::resize,
                         wire::processes, wire::processes_ended>;
      },
      m);
}

}  // namespace

server_core::impl::impl(store::engine &engine, core_options options, boottime_ms now)
    : engine_(engine),
      options_(std::move(options)),
      planted_(planted_mistakes::parse(options_.planted)),
      now_(now),
      connections_(engine.term()),
      durable_(engine.last_durable()),
      reaper_(engine, options_.reap_batch) {
  const auto &values = engine_.current_settings();
  const std::uint32_t lease = values.lease_ms + values.lease_margin_ms;
  grace_end_.value =
      now.value + (planted_.short_grace ? lease / 8 : std::max(values.longest_lease_ms, lease));
  for (const auto &[id, info] : engine_.sessions()) {
    session &s = sessions_.add(id);
    s.inherited = true;
    s.is_back = false;
    s.lease_end = grace_end_;
    connections_.put(watch_process{id, info.boot, info.pid, info.process_start, info.node});
  }
  for (const auto &[id, reservation] : engine_.reservations())
    if (session *s = sessions_.find(reservation.session))
      for (const bool reserved : reservation.reserved) s->chunks_reserved += reserved;
  for (const auto &[volume, info] : engine_.volumes())
    for (const auto &[number, snapshot] : engine_.snapshots(volume))
      if (snapshot.state == store::snapshot_state::dying) deletions_.announce({volume, number}, {}, now_);
  in_grace_ = !sessions_.all_back() && !planted_.no_grace;
  for (const auto &[volume, info] : engine_.volumes())
    if (info.unflushed) unflushed_.insert(volume);
  // The next master must wait for the longest lease that this one grants, so it is known before any is.
  if (values.longest_lease_ms < lease) {
    store::settings longer = values;
    longer.longest_lease_ms = lease;
    if (const auto seq = append(store::settings_changed{longer})) lease_bound_ = *seq;
    else stop(seq.error());
  }
}

void server_core::impl::stop(const error &why) {
  if (std::exchange(stopped_, true)) return;
  connections_.put(stop_serving{why});
}

result<record_seq> server_core::impl::append(const store::record &r) {
  auto seq = engine_.append(r);
  if (!seq && seq.error().code != errc::no_space) stop(seq.error());
  return seq;
}

void server_core::impl::refuse(const requester &to, errc code, std::string text) {
  answer(to, wire::failed{code, std::move(text), {}});
}

void server_core::impl::answer_when_durable(const requester &to, record_seq record, wire::message what) {
  if (planted_.answer_before_durable) return answer(to, std::move(what));
  durable_.when(record, [this, to, what = std::move(what)] { answer(to, what); });
}

void server_core::impl::answer_durably(const requester &to, wire::message what) {
  answer_when_durable(to, engine_.last_appended(), std::move(what));
}

session &server_core::impl::session_of(const requester &r) {
  session *s = sessions_.find(r.session);
  check(s != nullptr, "a message of a session that has ended");
  return *s;
}

void server_core::impl::tell(const session &s, wire::message what) {
  if (s.connection.value != 0) connections_.send(s.connection, std::move(what));
}

std::uint64_t server_core::impl::chunks_of(volume_id volume) const {
  const std::uint64_t chunk_bytes = engine_.shape().chunk_bytes;
  return (engine_.volumes().at(volume).size_bytes + chunk_bytes - 1) / chunk_bytes;
}

const store::snapshot_info *server_core::impl::live_snapshot(volume_id volume, snapshot_number number) const {
  const auto &snapshots = engine_.snapshots(volume);
  const auto found = snapshots.find(number);
  if (found == snapshots.end() || found->second.state != store::snapshot_state::live) return nullptr;
  return &found->second;
}

bool server_core::impl::can_read(const session &s, volume_id volume, snapshot_number number) const {
  return s.snapshots.contains({volume, number}) && live_snapshot(volume, number);
}

snapshot_number server_core::impl::newest_sharing(volume_id volume) const {
  const auto &snapshots = engine_.snapshots(volume);
  for (auto at = snapshots.rbegin(); at != snapshots.rend(); ++at)
    if (at->second.counts_for_sharing() &&
        !(planted_.dying_unshared && at->second.state == store::snapshot_state::dying))
      return at->first;
  return {};
}

void server_core::impl::message(connection_id from, const wire::envelope &what) {
  connection &peer = connections_.of(from);
  if (peer.closing) return;
  if (what.term > engine_.term())
    return stop({errc::stale, "a client has seen term " + to_text(what.term) + ", newer than ours"});
  if (const auto *h = std::get_if<wire::hello>(&what.body)) return hello(from, what, *h);
  if (!peer.welcomed) return connections_.hang_up(from, "a message before the welcome");
  std::string why;
  const bool is_request = !is_one_way(what.body);
  if (is_request && !connections_.owe(from, what.request, &why))
    return connections_.hang_up(from, std::move(why));
  if (peer.role == wire::client_role::tool && !tool_may_send(what.body))
    return connections_.hang_up(from, "a message that needs a session");
  const requester who{from, what.request, peer.session};
  const session *s = sessions_.find(peer.session);
  const bool renews = std::holds_alternative<wire::renew>(what.body);
  if (s && s->expired && is_request && !(planted_.renew_expired && renews))
    return refuse(who, errc::gone, "the session's lease has run out: say hello again");
  std::visit([&](const auto &m) { on(who, m); }, what.body);
}

void server_core::impl::lost(connection_id who) {
  for (auto &[id, s] : sessions_.all())
    if (s.connection == who) {
      s.connection = {};
      room_.answered(id);
    }
  connections_.forget(who);
}

void server_core::impl::at(boottime_ms now) {
  now_ = std::max(now_, now);
  for (session *s : sessions_.due(now_)) {
    if (planted_.reuse_by_time) end_session(s->id);
    else expire(*s);
  }
}

void server_core::impl::follow_up() {
  if (stopped_) return;
  update_grace();
  for (auto &[id, b] : barriers_.all())
    if (b.now == barrier::phase::waiting) freeze_when_possible(b);
  // Chores append, and one input may allow many: those for which there is no room wait for the next tick.
  while (!stopped_ && engine_.has_room() &&
         (close_one_session() || record_one_barrier() || end_one_snapshot() || serve_one_waiting())) {
  }
  if (!stopped_) make_room();
  if (!stopped_) note_watermark();
  if (in_grace_) return;
  for (auto &ready : pending_.take_ready())
    connections_.reply(ready.to, ready.request, std::move(ready.body));
}

bool server_core::impl::has_chores() const {
  const auto is_ready = [](const auto &b) {
    return b.second.now == barrier::phase::freezing && b.second.all_answered();
  };
  const bool can_go_on = std::any_of(room_.all().begin(), room_.all().end(),
                                     [&](const waiting_request &w) { return can_serve(w); });
  return can_go_on || !to_close_.empty() || (deletions_.any_ready() && !in_grace_) || reaper_.has_work() ||
         std::any_of(barriers_.all().begin(), barriers_.all().end(), is_ready);
}

boottime_ms server_core::impl::next_tick() const {
  constexpr std::int64_t idle_ms = 1000;
  if (has_chores()) return now_;
  boottime_ms next{now_.value + idle_ms};
  if (in_grace_) next = std::min(next, grace_end_);
  if (room_.awaits_answers() && now_ < room_.answers_until) next = std::min(next, room_.answers_until);
  else if (!room_.is_empty() && now_ < room_.ask_again_at) next = std::min(next, room_.ask_again_at);
  return barriers_.next_deadline(sessions_.next_expiry(next));
}

server_core::server_core(store::engine &engine, core_options options, boottime_ms now)
    : impl_(std::make_unique<impl>(engine, std::move(options), now)) {}
server_core::~server_core() = default;

void server_core::handle_message(connection_id from, const wire::envelope &what, boottime_ms now) {
  if (impl_->stopped_) return;
  impl_->at(now);
  impl_->message(from, what);
  impl_->follow_up();
}

void server_core::connection_lost(connection_id who, boottime_ms now) {
  if (impl_->stopped_) return;
  impl_->at(now);
  impl_->lost(who);
  impl_->follow_up();
}

void server_core::session_died(session_id session, boottime_ms now) {
  if (impl_->stopped_) return;
  impl_->at(now);
  impl_->end_session(session);
  impl_->follow_up();
}

void server_core::records_durable(record_seq last, boottime_ms now) {
  if (impl_->stopped_) return;
  impl_->at(now);
  impl_->durable_.advance(last);
  impl_->follow_up();
}

void server_core::tick(boottime_ms now) {
  if (impl_->stopped_) return;
  impl_->at(now);
  impl_->abort_late_barriers();
  impl_->follow_up();
  if (impl_->stopped_ || !impl_->reaper_.has_work() || !impl_->engine_.has_room()) return;
  if (const auto done = impl_->reaper_.step(); !done) impl_->stop(done.error());
  impl_->room_.has_reaped = true;
}

std::vector<output> server_core::take_outputs() { return impl_->connections_.take(); }

boottime_ms server_core::next_tick(boottime_ms now) const { return std::max(now, impl_->next_tick()); }

core_status server_core::status(boottime_ms now) const {
  impl_->now_ = std::max(impl_->now_, now);
  return impl_->status();
}

}  // namespace csnap::core
