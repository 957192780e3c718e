// SPDX-License-Identifier: BSD-3-Clause
//
// Sessions from hello to their end. A lease bounds waiting and proves nothing: an expired session loses what
// was promised to it, but keeps its reservations and stays a possible writer until proof that it is gone.
#include "metaserver/core/server_impl.h"
#include "metaserver/store/record_fields.h"

#include <algorithm>

namespace csnap::core {

namespace {

bool is_same_process(const store::session_info &recorded, const wire::hello &h) {
  return recorded.boot == h.boot && recorded.pid == h.pid && recorded.process_start == h.process_start;
}

}  // namespace

boottime_ms server_core::impl::lease_end_from_now() const {
  const auto &values = engine_.current_settings();
  const std::uint32_t margin_ms = planted_.lease_without_margin ? 0 : values.lease_margin_ms;
  return boottime_ms{now_.value + values.lease_ms + margin_ms};
}

void server_core::impl::hello(connection_id from, const wire::envelope &what, const wire::hello &h) {
  connection &peer = connections_.of(from);
  if (peer.said_hello) return connections_.hang_up(from, "a second hello");
  std::string why;
  if (!connections_.owe(from, what.request, &why)) return connections_.hang_up(from, std::move(why));
  const requester who{from, what.request, {}};
  peer.role = h.role;
  if (h.role == wire::client_role::node)
    return h.resume.value == 0 ? open_session(who, h) : resume_session(who, h, {});
  peer.said_hello = true;
  welcome_session(who, {});
}

// The session that this very client opened and does not know of: its welcome was lost with a connection. A
// second one would leave the first as a writer that never answers, and whose process lives.
std::optional<session_id> server_core::impl::session_unknown_to(const wire::hello &h) const {
  for (const auto &[id, info] : engine_.sessions())
    if (info.secret == h.secret && is_same_process(info, h) && sessions_.all().contains(id)) return id;
  return std::nullopt;
}

void server_core::impl::open_session(const requester &who, const wire::hello &h) {
  if (const auto known = planted_.welcome_never_lost ? std::nullopt : session_unknown_to(h)) {
    wire::hello again = h;
    again.resume = *known;
    return resume_session(who, again, engine_.last_appended());  // its record may not be durable yet
  }
  if (sessions_.size() >= options_.sessions_max)
    return refuse(who, errc::refused, "too many sessions: end some, or say which nodes are dead");
  store::session_info info;
  info.id = session_id{engine_.last_session_id().value + 1};
  info.secret = h.secret;
  info.node = h.node.substr(0, store::node_name_length_max);
  info.boot = h.boot;
  info.pid = h.pid;
  info.process_start = h.process_start;
  info.io_ends_with_process = h.io_ends_with_process;
  info.lease_ms = engine_.current_settings().lease_ms;
  const auto seq = append(store::session_opened{info});
  if (!seq) return refuse(who, seq.error().code, seq.error().text);
  session &s = sessions_.add(info.id);
  s.lease_end = lease_end_from_now();
  connection &peer = connections_.of(who.from);
  peer.said_hello = true;
  peer.session = info.id;
  connections_.put(watch_process{info.id, info.boot, info.pid, info.process_start, info.node});
  welcome_session({who.from, who.request, info.id}, *seq);
}

void server_core::impl::resume_session(const requester &who, const wire::hello &h, record_seq rests_on) {
  session *s = sessions_.find(h.resume);
  const auto recorded = engine_.sessions().find(h.resume);
  if (!s || recorded == engine_.sessions().end() || !is_same_process(recorded->second, h))
    return refuse(who, errc::gone, "no such session: open a new one");
  if (recorded->second.secret != h.secret) return breach(who, "the secret of another session");
  for (const connection_id old : connections_.of_session(s->id))
    connections_.hang_up(old, "the session came back on another connection");
  s->connection = {};
  void_promises(*s);
  s->expired = false;
  s->is_back = true;
  s->lease_end = lease_end_from_now();
  connection &peer = connections_.of(who.from);
  peer.said_hello = true;
  peer.session = s->id;
  rests_on = std::max(rests_on, record_longer_lease(recorded->second));
  welcome_session({who.from, who.request, s->id}, rests_on);
}

// A full metadata area must not keep a session out: the longest lease is in the settings anyway.
record_seq server_core::impl::record_longer_lease(store::session_info info) {
  const std::uint32_t lease_ms = engine_.current_settings().lease_ms;
  if (info.lease_ms >= lease_ms) return {};
  info.lease_ms = lease_ms;
  const auto seq = append(store::session_opened{info});
  return seq ? *seq : record_seq{};
}

// The connection carries the session only once the welcome has left: nothing may overtake it.
void server_core::impl::welcome_session(const requester &who, record_seq rests_on) {
  durable_.when(std::max(rests_on, lease_bound_), [this, who] {
    connection *peer = connections_.find(who.from);
    if (!peer) return;
    session *s = sessions_.find(who.session);
    if (who.session.value != 0 && !s) return connections_.hang_up(who.from, "the session has ended");
    const auto &shape = engine_.shape();
    wire::welcome w;
    w.store = shape.store;
    w.restore_generation = shape.restore_generation;
    w.session = who.session;
    w.lease_ms = s ? engine_.current_settings().lease_ms : 0;
    w.chunk_bytes = shape.chunk_bytes;
    w.chunks_offset_bytes = shape.chunks_offset_bytes;
    w.chunk_count = shape.chunk_count;
    answer(who, w);
    peer->welcomed = true;
    if (!s) return;
    s->connection = who.from;
    room_.has_called_back = false;  // it may have chunks to give back
    join_barriers(*s);
  });
}

void server_core::impl::void_promises(session &s) {
  delegations_.drop_all(s.id);
  pending_.recalls_over(s.id);
  room_.answered(s.id);
  for (const auto &snapshot : std::exchange(s.snapshots, {})) deletions_.released(snapshot, s.id);
}

void server_core::impl::expire(session &s) {
  s.expired = true;
  void_promises(s);
  const auto &info = engine_.sessions().at(s.id);
  connections_.put(log_line{true, "session " + std::to_string(s.id.value) + " of " + info.node + " (pid " +
                                      std::to_string(info.pid) + ") has not renewed its lease"});
}

void server_core::impl::end_session(session_id id) {
  session *s = sessions_.find(id);
  if (!s) return;
  void_promises(*s);
  store::session_closed over{id};
  for (const auto &[volume, info] : engine_.volumes())
    if (s->may_write(volume) && !planted_.dead_not_flushed) over.unflushed.push_back(volume);
  unflushed_.insert(over.unflushed.begin(), over.unflushed.end());
  leave_barriers(id);
  for (const connection_id c : connections_.of_session(id)) connections_.hang_up(c, "the session has ended");
  sessions_.erase(id);
  to_close_.push_back(std::move(over));
  connections_.put(unwatch_process{id});
}

// What it completed after the others had flushed nobody has flushed: they are asked once more.
void server_core::impl::leave_barriers(session_id id) {
  for (const barrier_id unanswered : barriers_.leave_all(id)) {
    if (planted_.dead_not_flushed) continue;
    thaw_participants(*barriers_.find(unanswered));
    barriers_.begin_anew(unanswered);
  }
}

bool server_core::impl::close_one_session() {
  if (to_close_.empty()) return false;
  const auto seq = append(to_close_.front());
  if (!seq) stop(seq.error());
  to_close_.pop_front();
  return true;
}

void server_core::impl::update_grace() {
  if (!in_grace_ || (now_ < grace_end_ && !sessions_.all_back())) return;
  in_grace_ = false;
  for (auto &then : std::exchange(after_grace_, {})) then();
}

void server_core::impl::after_grace(std::function<void()> then) {
  if (in_grace_) after_grace_.push_back(std::move(then));
  else then();
}

void server_core::impl::on(const requester &who, const wire::renew &) {
  session &s = session_of(who);
  const std::uint32_t lease_ms = engine_.current_settings().lease_ms;
  // Who renews but answers no recall would hold up the writers of all nodes for ever.
  const auto unanswered = pending_.oldest_recall(s.id);
  if (unanswered && unanswered->value + lease_ms <= now_.value)
    return refuse(who, errc::gone, "a recall was not answered: say hello again");
  // Nor may one who does not let go of a deleted snapshot keep its chunks for ever.
  const auto unreleased = deletions_.oldest_announcement(s.id);
  if (unreleased && unreleased->value + lease_ms <= now_.value)
    return refuse(who, errc::gone, "the end of a snapshot was not answered: say hello again");
  s.expired = false;
  s.lease_end = lease_end_from_now();
  answer(who, wire::renewed{lease_ms});
}

void server_core::impl::on(const requester &who, const wire::goodbye &) {
  session &s = session_of(who);
  const auto seq = append(store::session_closed{s.id});
  if (!seq) return stop(seq.error());
  void_promises(s);
  leave_barriers(s.id);
  connections_.put(unwatch_process{s.id});
  connections_.of(who.from).welcomed = false;
  connections_.of(who.from).session = {};
  sessions_.erase(s.id);
  durable_.when(*seq, [this, who] {
    answer(who, wire::done{});
    connections_.hang_up(who.from, "goodbye");
  });
}

}  // namespace csnap::core
