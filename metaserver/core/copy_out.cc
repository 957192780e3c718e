// SPDX-License-Identifier: BSD-3-Clause
//
// Store chunks for copies, and the commits that turn copies into exceptions. A commit is decided at once, in
// the order of arrival; it is answered when everything that it says "unshared" or "used" about is durable and
// recalled (rules 1, 2), and never during grace (rule 10).
#include "metaserver/core/server_impl.h"

#include <algorithm>
#include <set>

namespace csnap::core {

namespace {

// What one session may hold unused: four reservations' worth. It bounds what a vanished node can leak.
constexpr std::uint64_t reserved_per_session_max = 4 * wire::reserve_chunks_max;
// What one unshared_query looks at. Chunks beyond count as shared, which costs a commit and is never wrong.
constexpr std::size_t query_exceptions_max = 262144;
constexpr std::size_t query_step = 8192;

}  // namespace

struct server_core::impl::commit_plan {
  volume_id volume;
  epoch_id epoch;  // the commit's own
  session_id session;
  bool is_current{};
  snapshot_number newest_sharing;
  snapshot_number number;  // of new exceptions
  store::exceptions_added record;
  std::vector<wire::recall_entry> added;
  std::set<pending_commits::batch_no> until;
  wire::committed answer;
};

void server_core::impl::on(const requester &who, const wire::reserve &m) {
  session &s = session_of(who);
  if (m.count == 0 || m.count > wire::reserve_chunks_max)
    return breach(who, "a reservation of " + std::to_string(m.count) + " chunks");
  if (s.granted_on != who.from) s.granted.clear();
  s.granted_on = who.from;
  std::erase_if(s.granted, [&](const auto &g) { return g.first <= m.newest_known; });
  const bool is_second =
      std::any_of(s.granted.begin(), s.granted.end(), [&](const auto &g) { return g.second == m.volume; });
  if (is_second || room_.waits_for(who, m.volume))
    return refuse(who, errc::refused, "the reservation before it is not answered yet");
  if (regrant_lost(who, m)) return;
  if (s.chunks_reserved + m.count > reserved_per_session_max)
    return refuse(who, errc::refused, "the session has enough reserved chunks that it did not use");
  if (!room_.is_empty() && (!m.needed || policy_of(m.volume) != full_policy::error))
    return no_room(who, m.volume, m, fail(errc::no_space, "the snapshot store is full, and others wait"));
  if (const auto done = grant(who, m); !done) no_room(who, m.volume, m, done.error());
}

// A reservation of the session that was granted on another connection and of which the client has not heard:
// its answer was lost.
bool server_core::impl::regrant_lost(const requester &who, const wire::reserve &m) {
  session &s = session_of(who);
  for (const auto &[id, r] : engine_.reservations()) {
    if (r.session != s.id || id <= m.newest_known || s.granted.contains(id)) continue;
    s.granted.emplace(id, m.volume);
    answer_durably(who, wire::reserved{id, r.first, r.count});
    return true;
  }
  return false;
}

// Errors: no_space; nothing was answered then.
result<> server_core::impl::grant(const requester &who, const wire::reserve &m) {
  session &s = session_of(who);
  // The last chunks are shared out: one of many must not get what all of them wait for.
  const std::uint64_t share = engine_.chunks_free_now() / (room_.size() + 1);
  const auto wanted = static_cast<std::uint32_t>(std::clamp<std::uint64_t>(share, 1, m.count));
  const auto free = engine_.find_free_chunks(wanted);
  if (!free) return free.error();
  const auto [first, count] = *free;
  const reservation_id id{engine_.last_reservation_id().value + 1};
  const auto seq = append(store::chunks_reserved{id, s.id, first, count});
  if (!seq) return seq.error();
  s.chunks_reserved += count;
  s.granted.emplace(id, m.volume);
  if (planted_.reserve_before_durable) {
    answer(who, wire::reserved{id, first, count});
    return {};
  }
  answer_when_durable(who, *seq, wire::reserved{id, first, count});
  return {};
}

const char *server_core::impl::commit_breach(const wire::commit &m) const {
  const std::uint64_t chunks = chunks_of(m.volume);
  std::vector<store_chunk> places;
  for (std::size_t i = 0; i < m.entries.size(); ++i) {
    if (m.entries[i].chunk.value >= chunks) return "a commit outside its volume";
    if (i && m.entries[i - 1].chunk >= m.entries[i].chunk) return "a commit whose chunks are not ascending";
    if (!m.entries[i].place.is_zero()) places.push_back(m.entries[i].place);
  }
  std::sort(places.begin(), places.end());
  if (std::adjacent_find(places.begin(), places.end()) != places.end())
    return "a commit that names a place twice";
  return nullptr;
}

// Rule 11: the chunk is reserved, for this session, in that very reservation.
const store::reservation_info *server_core::impl::reservation_of(const commit_plan &plan,
                                                                 const wire::commit_entry &entry) const {
  auto found = engine_.reservations().find(entry.reservation);
  if (planted_.any_reservation || planted_.offer_unchecked)
    found = std::find_if(engine_.reservations().begin(), engine_.reservations().end(), [&](const auto &r) {
      return r.second.first <= entry.place && entry.place.value < r.second.first.value + r.second.count;
    });
  if (found == engine_.reservations().end()) return nullptr;
  const auto &r = found->second;
  if (r.session != plan.session && !planted_.offer_unchecked) return nullptr;
  if (entry.place < r.first || entry.place.value - r.first.value >= r.count) return nullptr;
  return r.reserved[entry.place.value - r.first.value] || planted_.offer_unchecked ? &r : nullptr;
}

result<> server_core::impl::decide(commit_plan &plan, const wire::commit_entry &entry) const {
  auto &outcome = plan.answer.outcomes.emplace_back();
  const auto last = engine_.last_exception(plan.volume, entry.chunk);
  if (!last) return last.error();
  auto of_epoch = *last;
  if (of_epoch && of_epoch->number > plan.epoch.number) {
    const auto found = engine_.find_exception(plan.volume, entry.chunk, plan.epoch.number);
    if (!found) return found.error();
    of_epoch = *found;
  }
  const bool is_repetition = of_epoch && of_epoch->number == plan.epoch.number &&
                             of_epoch->place == entry.place && !entry.place.is_zero() &&
                             !planted_.not_idempotent;
  const snapshot_number last_number = *last ? (*last)->number : snapshot_number{};
  const bool is_shared = plan.newest_sharing > last_number;
  // Rule 12: this question comes before those about epoch and race. A repetition must not be handed back.
  if (planted_.epoch_first && !plan.is_current) {
    outcome = {wire::copy_fate::back, false};
  } else if (is_repetition) {
    outcome = {wire::copy_fate::used, plan.is_current && !is_shared};
  } else if (const auto *r = entry.place.is_zero() ? nullptr : reservation_of(plan, entry);
             !r && !entry.place.is_zero()) {
    outcome = {planted_.not_idempotent ? wire::copy_fate::back : wire::copy_fate::taken,
               plan.is_current && !is_shared};
  } else if (plan.is_current && (is_shared || (planted_.copy_after && r && last_number == plan.number))) {
    outcome = {wire::copy_fate::used, true};
    if (r) plan.record.session = r->session;
    plan.record.entries.push_back({entry.chunk, r ? r->id : reservation_id{}, entry.place});
    plan.added.push_back({entry.chunk, plan.number, entry.place});
    return {};
  } else {
    outcome = {wire::copy_fate::back, plan.is_current && !is_shared};
  }
  const bool says_something = outcome.unshared || outcome.fate == wire::copy_fate::used;
  if (!says_something || (planted_.loser_at_once && outcome.fate == wire::copy_fate::back)) return {};
  if (const auto batch = pending_.pending(plan.volume, entry.chunk)) plan.until.insert(*batch);
  return {};
}

void server_core::impl::on(const requester &who, const wire::commit &m) {
  session &s = session_of(who);
  if (!has_volume(m.volume) || !s.may_write(m.volume))
    return refuse(who, errc::refused, "the volume is not open for writing");
  if (const char *why = commit_breach(m)) return breach(who, why);
  const epoch_id current = engine_.volumes().at(m.volume).epoch;
  commit_plan plan;
  plan.volume = m.volume;
  plan.epoch = m.epoch;
  plan.session = s.id;
  plan.is_current = m.epoch == current || planted_.old_epoch_ok;
  plan.newest_sharing = newest_sharing(m.volume);
  plan.number = current.number;
  plan.record.volume = m.volume;
  plan.record.number = current.number;
  plan.record.session = s.id;
  plan.answer.stale_epoch = !plan.is_current;
  for (const auto &entry : m.entries)
    if (const auto done = decide(plan, entry); !done) return stop(done.error());
  if (!carry_out(plan, who, m)) return;
  ++commits_;
  commit_chunks_.observe(static_cast<double>(m.entries.size()));
  const bool answers_at_once = plan.answer.stale_epoch && plan.until.empty();
  if (answers_at_once) return answer(who, std::move(plan.answer));
  pending_.hold({who.from, who.request, std::move(plan.answer)}, {plan.until.begin(), plan.until.end()});
}

// Appends the new exceptions, all in one record; false: refused, or waiting for room, or no longer serving.
bool server_core::impl::carry_out(commit_plan &plan, const requester &who, const wire::commit &m) {
  if (plan.added.empty()) return true;
  const auto seq = append(plan.record);
  if (!seq) {
    if (seq.error().code == errc::no_space) no_room(who, m.volume, m, seq.error());
    return false;
  }
  chunks_copied_ += plan.added.size();
  if (session *owner = sessions_.find(plan.record.session))
    for (const auto &e : plan.record.entries) owner->chunks_reserved -= !e.place.is_zero();
  const auto batch = pending_.add(plan.volume, *seq, std::move(plan.added));
  if (!planted_.answer_before_durable) plan.until.insert(batch);
  std::shared_ptr<delegation_table> early;
  if (planted_.holders_early) early = std::make_shared<delegation_table>(delegations_);
  durable_.when(*seq, [this, batch, early] { send_recalls(batch, early ? *early : delegations_); });
  return true;
}

void server_core::impl::send_recalls(pending_commits::batch_no batch, const delegation_table &delegations) {
  for (auto &order : pending_.durable(batch, delegations, now_)) {
    ++recalls_sent_;
    if (planted_.no_recall_wait) pending_.recall_answered(order.to, order.what.id);
    if (const session *s = sessions_.find(order.to)) tell(*s, std::move(order.what));
  }
}

void server_core::impl::on(const requester &who, const wire::unshared_query &m) {
  session &s = session_of(who);
  if (!has_volume(m.volume) || !s.may_write(m.volume))
    return refuse(who, errc::refused, "the volume is not open for writing");
  const std::uint64_t chunks = chunks_of(m.volume);
  if (m.count == 0 || m.count > wire::unshared_chunks_max || m.first.value >= chunks ||
      m.count > chunks - m.first.value)
    return breach(who, "an unshared_query outside its volume");
  const auto look = [this, who, m] {
    if (m.epoch != engine_.volumes().at(m.volume).epoch) return answer(who, wire::unshared_map{true, {}});
    auto bits = unshared_bits(m);
    if (!bits) return stop(bits.error());
    answer(who, wire::unshared_map{false, std::move(*bits)});
  };
  if (planted_.bitmap_in_grace) look();
  else after_grace(look);
}

result<std::string> server_core::impl::unshared_bits(const wire::unshared_query &m) const {
  const snapshot_number sharing = newest_sharing(m.volume);
  const bool nothing_is_shared = sharing.value == 0;
  std::vector<bool> unshared(m.count, nothing_is_shared);
  const chunk_no end{m.first.value + m.count};
  chunk_no at = m.first;
  for (std::size_t seen = 0; !nothing_is_shared && at < end && seen < query_exceptions_max;) {
    const auto listed = engine_.list_exceptions(m.volume, at, end, query_step, &at);
    if (!listed) return listed.error();
    for (const auto &e : *listed)
      if (e.number >= sharing) unshared[e.chunk.value - m.first.value] = true;
    seen += listed->size();
  }
  std::string bits((m.count + 7) / 8, '\0');
  for (std::uint32_t i = 0; i < m.count; ++i)
    if (unshared[i] && !pending_.pending(m.volume, chunk_no{m.first.value + i}))
      bits[i / 8] = static_cast<char>(bits[i / 8] | (1 << (i % 8)));
  return bits;
}

}  // namespace csnap::core
