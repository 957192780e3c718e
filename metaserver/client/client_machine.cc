// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/client/client_machine.h"

#include "metaserver/base/check.h"
#include "metaserver/client/machine_state.h"
#include "metaserver/wire/frame.h"

#include <algorithm>

namespace csnap::client {

client_machine::client_machine(machine_options options) : impl_(std::make_unique<impl>(std::move(options))) {}
client_machine::~client_machine() = default;

// ---- the connection ----

void client_machine::impl::emit(std::uint64_t request, const wire::message &what) {
  outgoing.push_back(wire::encode_frame({request, session.term(), what}));
}

void client_machine::impl::send_requests() {
  if (session.now_in() != session_keeper::phase::open) return;
  while (requests.sendable()) {
    const auto [wire_id, request] = requests.send_next();
    if (planted.epoch_at_send && request->why == purpose::commit) {
      auto &c = std::get<wire::commit>(request->what);
      if (const write_gate *gate = gates.find(c.volume)) c.epoch = gate->epoch();
    }
    emit(wire_id, request->what);
  }
}

// A drop goes before any later map request of its segment, for those are sent by take_frames().
void client_machine::impl::send_drops() {
  for (const wire::drop &d : snapshots.evict()) say(d);
}

std::vector<std::vector<std::byte>> client_machine::take_frames() {
  impl_->send_requests();
  return std::exchange(impl_->outgoing, {});
}

bool client_machine::has_frames() const {
  return !impl_->outgoing.empty() ||
         (impl_->session.now_in() == session_keeper::phase::open && impl_->requests.sendable());
}

bool client_machine::peer_is_silent(boottime_ms now) const { return impl_->session.peer_is_silent(now); }

void client_machine::tick(boottime_ms now) {
  if (impl_->session.renewal_due(now)) {
    impl_->session.renewal_sent(now);
    impl_->renewal_id = impl_->requests.next_wire_id();
    impl_->emit(impl_->renewal_id, wire::renew{});
  }
  const bool may_reserve = impl_->pool.tick(now);
  if (impl_->snapshots.tick(now) || may_reserve) ++impl_->changes;
}

boottime_ms client_machine::next_tick(boottime_ms now) const {
  return std::min({impl_->session.next_tick(now), impl_->pool.held_until(), impl_->snapshots.held_until()});
}

std::uint64_t client_machine::changes() const { return impl_->changes; }
bool client_machine::lease_valid(boottime_ms now) const { return impl_->session.lease_valid(now); }
bool client_machine::has_session() const { return impl_->session.session() != session_id{}; }
term_id client_machine::term() const { return impl_->session.term(); }
std::optional<wire::welcome> client_machine::welcome() const { return impl_->session.welcome(); }

// ---- plain requests ----

ticket client_machine::request(wire::message what) {
  return impl_->requests.add(purpose::caller, std::move(what));
}
std::optional<answer> client_machine::take_answer(ticket t) { return impl_->requests.take_answer(t); }

void client_machine::abandon(ticket t) {
  const auto kept = impl_->requests.abandon(t);
  if (!kept) return;
  if (const auto *v = std::get_if<wire::volume_opened>(&*kept)) close_volume(v->id);
  if (const auto *s = std::get_if<wire::snapshot_opened>(&*kept)) close_snapshot(s->id, s->number);
}

// ---- origin volumes ----

ticket client_machine::open_volume(std::string name) {
  return impl_->requests.add(purpose::open_volume, wire::open_volume{std::move(name), {}});
}

void client_machine::close_volume(volume_id volume) {
  write_gate *gate = impl_->gates.find(volume);
  check(gate != nullptr && gate->opens() > 0, "close of a volume that is not open");
  gate->count_close();
  if (gate->opens() > 0) return;
  check(gate->in_flight() == 0, "close of a volume with writes in flight");
  impl_->close_unused();
}

write_verdict client_machine::begin_write(volume_id volume, chunk_no first, std::uint64_t count,
                                          boottime_ms now) {
  write_gate *gate = impl_->gates.find(volume);
  if (gate == nullptr || gate->opens() == 0 || gate->is_gone()) return {admission::gone, {}, {}};
  check(count > 0 && first.value < gate->chunk_count() && count <= gate->chunk_count() - first.value,
        "a write beyond the end of a volume");
  if (!gate->lease_covers(now) || gate->is_frozen()) return {admission::wait, {}, {}};
  unshared_chunks &unshared = gate->unshared();
  if (unshared.all_set(first, count)) {
    gate->count_write();
    return {admission::admitted, {}, {}};
  }
  write_verdict verdict{admission::copy_first, gate->epoch(), {}};
  const std::uint64_t last = first.value + count - 1;
  for (std::uint64_t region = unshared_chunks::region_of(first);
       region <= last / unshared_chunks::region_chunks; ++region) {
    const std::uint64_t begin = region * unshared_chunks::region_chunks;
    const chunk_no from{std::max(first.value, begin)};
    const std::uint64_t here = std::min(last + 1, begin + unshared_chunks::region_chunks) - from.value;
    if (unshared.is_known(region) || unshared.all_set(from, here)) continue;
    verdict.what = admission::wait;
    if (unshared.is_asked(region)) continue;
    unshared.asked(region);
    const auto size = std::min(unshared_chunks::region_chunks, gate->chunk_count() - begin);
    (void)impl_->requests.add(
        purpose::unshared_query,
        wire::unshared_query{volume, gate->epoch(), chunk_no{begin}, static_cast<std::uint32_t>(size)});
  }
  if (verdict.what == admission::copy_first)
    for (std::uint64_t c = first.value; c <= last; ++c)
      if (!unshared.is_set(chunk_no{c})) verdict.shared.push_back(chunk_no{c});
  return verdict;
}

void client_machine::end_write(volume_id volume) {
  write_gate *gate = impl_->gates.find(volume);
  check(gate != nullptr, "end of a write to a volume that is not open");
  if (gate->end_write()) ++impl_->changes;
}

std::shared_ptr<write_pass> client_machine::pass_of(volume_id volume) {
  const write_gate *gate = impl_->gates.find(volume);
  check(gate != nullptr && gate->opens() > 0, "the pass of a volume that is not open");
  return gate->pass();
}

void client_machine::write_drained() { ++impl_->changes; }

std::vector<client_machine::drain> client_machine::take_drains() { return impl_->gates.take_drains(); }

void client_machine::drained(barrier_id barrier) {
  if (impl_->gates.drained(barrier)) impl_->say(wire::freeze_answer{barrier});
}

// ---- copy-out ----

result<std::vector<reserved_chunk>> client_machine::take_reserved(volume_id volume, std::uint32_t wanted,
                                                                  chunk_wait &wait) {
  check(wanted > 0, "no chunk wanted");
  if (!wait.questions_before) wait.questions_before = impl_->pool.questions_asked();
  auto out = impl_->pool.take(wanted);
  if (out.empty() && impl_->pool.is_full_since(volume, *wait.questions_before))
    return fail(errc::no_space, "the snapshot store is full");
  if (impl_->leaving) return out;
  if (auto question = impl_->pool.ask(volume, wanted, out.empty()))
    (void)impl_->requests.add(purpose::reserve, *question);
  return out;
}

void client_machine::return_unused(std::span<const reserved_chunk> chunks) {
  impl_->pool.put_back(chunks);
  ++impl_->changes;
}

ticket client_machine::commit(wire::commit what) {
  check(!what.entries.empty() && what.entries.size() <= wire::commit_entries_max,
        "a commit of an impossible size");
  return impl_->requests.add(purpose::commit, std::move(what));
}

// ---- snapshots ----

ticket client_machine::open_snapshot(std::string volume, std::string snapshot) {
  return impl_->requests.add(purpose::open_snapshot,
                             wire::open_snapshot{std::move(volume), std::move(snapshot), {}, {}});
}

void client_machine::close_snapshot(volume_id volume, snapshot_number number) {
  auto *h = impl_->snapshots.find(volume, number);
  check(h != nullptr && h->opens > 0, "close of a snapshot that is not open");
  if (--h->opens == 0) impl_->close_unused();
}

read_plan client_machine::begin_read(volume_id volume, snapshot_number number, chunk_no first,
                                     std::uint64_t count, boottime_ms now) {
  const auto *h = impl_->snapshots.find(volume, number);
  if (h == nullptr || h->gone) return {read_state::gone, 0, 0, {}};
  if (!impl_->session.lease_valid(now)) return {read_state::wait, 0, 0, {}};
  std::vector<wire::map> ask;
  read_plan plan = impl_->snapshots.begin(volume, number, first, count, &ask);
  for (const wire::map &m : ask) (void)impl_->requests.add(purpose::map, m);
  return plan;
}

bool client_machine::finish_read(volume_id volume, snapshot_number number, chunk_no first,
                                 const read_plan &plan, boottime_ms now) {
  return impl_->session.lease_valid(now) && impl_->snapshots.finish(volume, number, first, plan);
}

const read_watch &client_machine::watch() const { return impl_->snapshots.watch(); }

ticket client_machine::goodbye() {
  impl_->leaving = true;
  return impl_->requests.add(purpose::goodbye, wire::goodbye{});
}

}  // namespace csnap::client
