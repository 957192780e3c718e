// SPDX-License-Identifier: BSD-3-Clause
//
// What a message of the server does. Handling never waits: recalls, freezes and the end of a snapshot are
// taken note of at once, whatever the state of reads and writes under way.
#include "metaserver/client/client_machine.h"
#include "metaserver/client/machine_state.h"
#include "metaserver/wire/frame.h"

#include <algorithm>

namespace csnap::client {

namespace {

error unexpected(const wire::message &body) {
  return fail(errc::invalid,
              std::string("the server sent '") + wire::message_name(body) + "' where it means nothing");
}

template <class... F>
struct overloaded : F... {
  using F::operator()...;
};

}  // namespace

result<> client_machine::received(const wire::envelope &what, boottime_ms now, std::string *hint) {
  const auto outcome = impl_->take_in(what, now, hint);
  impl_->lease_may_have_changed();
  return outcome;
}

result<> client_machine::impl::take_in(const wire::envelope &what, boottime_ms now, std::string *hint) {
  if (session.now_in() == session_keeper::phase::offline) return {};
  if (session.now_in() == session_keeper::phase::greeting) return greeted(what, now, hint);
  if (what.term < session.term()) return {};
  if (what.term > session.term()) return fail(errc::invalid, "the server changed its term without a welcome");
  return what.request == 0 ? from_server(what.body) : answered(what.request, what.body, now, hint);
}

// ---- messages of the server ----

result<> client_machine::impl::from_server(const wire::message &what) {
  return std::visit(overloaded{
                        [&](const wire::recall &r) -> result<> { return on_recall(r); },
                        [&](const wire::freeze &f) -> result<> { return on_freeze(f); },
                        [&](const wire::thaw &t) -> result<> {
                          gates.thaw(t);
                          ++changes;
                          return {};
                        },
                        [&](const wire::snapshot_gone &g) -> result<> {
                          on_snapshot_gone(g);
                          return {};
                        },
                        [&](const wire::reclaim &) -> result<> {
                          on_reclaim();
                          return {};
                        },
                        [&](const wire::store_grown &g) -> result<> {
                          session.store_grown(g.chunk_count);
                          ++changes;
                          return {};
                        },
                        [&](const auto &) -> result<> { return unexpected(what); },
                    },
                    what);
}

result<> client_machine::impl::on_freeze(const wire::freeze &f) {
  if (f.barrier == barrier_id{}) return fail(errc::invalid, "a barrier without a number");
  ++changes;
  return gates.freeze(f.barrier, f.volumes);
}

result<> client_machine::impl::on_recall(const wire::recall &r) {
  const std::uint64_t store_chunks = session.welcome()->chunk_count;
  for (const wire::recall_entry &e : r.entries)
    if (!e.place.is_zero() && e.place.value >= store_chunks)
      return fail(errc::invalid, "a recall that points behind the end of the store");
  snapshots.recall(r);
  say(wire::recall_answer{r.id});
  return {};
}

void client_machine::impl::on_snapshot_gone(const wire::snapshot_gone &g) {
  snapshots.mark_gone(g.volume, g.number);
  say(wire::snapshot_gone_answer{g.volume, g.number});
  ++changes;
}

// Answered also when there is nothing: the server waits for it.
void client_machine::impl::on_reclaim() {
  if (!leaving) (void)requests.add(purpose::give_back, pool.give_back());
}

// ---- answers ----

result<> client_machine::impl::answered(std::uint64_t wire_id, const wire::message &body, boottime_ms now,
                                        std::string *hint) {
  if (wire_id == renewal_id) return renewal_answered(body, now, hint);
  if (requests.find_sent(wire_id) == nullptr)
    return fail(errc::invalid, "the server answered what was not asked");
  if (const auto *f = std::get_if<wire::failed>(&body)) {
    // These are about the session or the server, not about the request: it is sent again.
    if (f->code == errc::gone) session.expired();
    if (f->code == errc::gone || f->code == errc::not_master || f->code == errc::shutting_down)
      return refuse(*f, hint);
  }
  auto [t, request] = requests.finish(wire_id);
  ++changes;
  return apply(t, request, body, now);
}

result<> client_machine::impl::renewal_answered(const wire::message &body, boottime_ms now,
                                                std::string *hint) {
  if (const auto *r = std::get_if<wire::renewed>(&body)) {
    if (r->lease_ms == 0) return fail(errc::invalid, "the server gave a lease of no time");
    renewal_id = 0;
    if (!session.lease_valid(now)) ++changes;  // writers may be waiting for a lease
    session.renewed(r->lease_ms, now);
    return {};
  }
  const auto *f = std::get_if<wire::failed>(&body);
  if (f == nullptr) return unexpected(body);
  if (f->code == errc::gone) session.expired();
  return refuse(*f, hint);
}

result<> client_machine::impl::apply(ticket t, pending_request &request, const wire::message &body,
                                     boottime_ms now) {
  switch (request.why) {
    case purpose::caller:
      if (!request.abandoned) requests.keep_answer(t, body);
      return {};
    case purpose::goodbye:
      session.forget();
      requests.keep_answer(t, body);
      return {};
    case purpose::close: return {};
    case purpose::open_volume: return volume_answered(t, request, body);
    case purpose::open_snapshot: return snapshot_answered(t, request, body);
    case purpose::commit: return commit_answered(t, request, body);
    case purpose::reopen_volume: return volume_reopened(request, body);
    case purpose::reopen_snapshot: return snapshot_reopened(request, body);
    case purpose::reserve: return reserve_answered(std::get<wire::reserve>(request.what), body, now);
    case purpose::give_back: return {};  // whatever became of them, they are not this session's to use
    case purpose::unshared_query: return query_answered(std::get<wire::unshared_query>(request.what), body);
    case purpose::map: return map_answered(std::get<wire::map>(request.what), body, now);
  }
  return unexpected(body);
}

result<> client_machine::impl::commit_answered(ticket t, const pending_request &request,
                                               const wire::message &body) {
  const auto &asked = std::get<wire::commit>(request.what);
  const auto *a = std::get_if<wire::committed>(&body);
  if (a == nullptr && !std::holds_alternative<wire::failed>(body)) return unexpected(body);
  if (a != nullptr && a->outcomes.size() != asked.entries.size())
    return fail(errc::invalid, "a commit was answered with another number of outcomes");
  write_gate *gate = gates.find(asked.volume);
  // A commit that failed hands nothing back: its chunks stay the server's (rule 12).
  const wire::commit_outcome nothing{wire::copy_fate::taken, false};
  for (std::size_t i = 0; i < asked.entries.size(); ++i) {
    const wire::commit_entry &e = asked.entries[i];
    const wire::commit_outcome &o = a == nullptr ? nothing : a->outcomes[i];
    if (o.unshared && !a->stale_epoch && gate != nullptr && gate->believes(asked.epoch))
      gate->unshared().set(e.chunk);
    if (e.place.is_zero()) continue;
    const reserved_chunk chunk{e.reservation, e.place};
    if (o.fate == wire::copy_fate::back) pool.put_back(std::span(&chunk, 1));
    else pool.forget(e.reservation);
  }
  if (!request.abandoned) requests.keep_answer(t, body);
  return {};
}

result<> client_machine::impl::reserve_answered(const wire::reserve &asked, const wire::message &body,
                                                boottime_ms now) {
  if (const auto *f = std::get_if<wire::failed>(&body)) {
    pool.refused(asked, f->code, now);
    return {};
  }
  const auto *r = std::get_if<wire::reserved>(&body);
  if (r == nullptr) return unexpected(body);
  const std::uint64_t store_chunks = session.welcome()->chunk_count;
  if (r->count == 0 || r->count > wire::reserve_chunks_max || r->first.value >= store_chunks ||
      r->count > store_chunks - r->first.value || !pool.granted(asked, *r))
    return fail(errc::invalid, "the server granted chunks that it cannot grant");
  return {};
}

result<> client_machine::impl::query_answered(const wire::unshared_query &asked, const wire::message &body) {
  write_gate *gate = gates.find(asked.volume);
  if (gate == nullptr || !gate->believes(asked.epoch)) return {};
  const std::uint64_t region = unshared_chunks::region_of(asked.first);
  if (const auto *f = std::get_if<wire::failed>(&body)) {
    if (f->code == errc::not_found) gate->mark_gone();
    else gate->unshared().learn(region, {});  // all taken for shared: slower, never wrong
    return {};
  }
  const auto *a = std::get_if<wire::unshared_map>(&body);
  if (a == nullptr) return unexpected(body);
  if (a->stale_epoch) {
    gate->unshared().forget_asked();  // the thaw that brings the new epoch is on its way
    return {};
  }
  if (a->bits.size() != (std::size_t{asked.count} + 7) / 8)
    return fail(errc::invalid, "an unshared map of another size than asked for");
  gate->unshared().learn(region, a->bits);
  return {};
}

result<> client_machine::impl::map_answered(const wire::map &asked, const wire::message &body,
                                            boottime_ms now) {
  if (const auto *f = std::get_if<wire::failed>(&body)) {
    snapshots.map_failed(asked, f->code, now);
    return {};
  }
  const auto *a = std::get_if<wire::map_reply>(&body);
  if (a == nullptr) return unexpected(body);
  if (const auto r = snapshots.map_came(asked, *a, session.welcome()->chunk_count); !r) return r.error();
  send_drops();
  return {};
}

}  // namespace csnap::client
