// SPDX-License-Identifier: BSD-3-Clause
//
// Answers to opening volumes and snapshots, the first time and after a reconnect, and closing what nobody has
// open any more.
#include "metaserver/client/client_machine.h"
#include "metaserver/client/machine_state.h"

#include <array>

namespace csnap::client {

namespace {
const error not_an_opening{errc::invalid, "the server did not answer an open"};
}  // namespace

std::uint64_t client_machine::impl::chunks_of(std::uint64_t size_bytes) const {
  const std::uint32_t chunk = session.welcome()->chunk_bytes;
  return size_bytes / chunk + (size_bytes % chunk != 0);
}

result<> client_machine::impl::open_gate(const std::string &name, const wire::volume_opened &o) {
  if (o.id == volume_id{} || o.size_bytes == 0) return fail(errc::invalid, "a volume without number or size");
  (void)gates.opened(name, o, chunks_of(o.size_bytes));
  if (o.barrier == barrier_id{}) return {};
  return gates.freeze(o.barrier, std::array{o.id});
}

result<> client_machine::impl::volume_answered(ticket t, pending_request &request,
                                               const wire::message &body) {
  if (const auto *o = std::get_if<wire::volume_opened>(&body)) {
    if (const auto r = open_gate(std::get<wire::open_volume>(request.what).name, *o); !r) return r.error();
    if (!request.abandoned) gates.find(o->id)->count_open();
  } else if (!std::holds_alternative<wire::failed>(body)) {
    return not_an_opening;
  }
  if (!request.abandoned) requests.keep_answer(t, body);
  close_unused();
  return {};
}

result<> client_machine::impl::volume_reopened(const pending_request &request, const wire::message &body) {
  write_gate *gate = gates.find(request.about);
  if (const auto *f = std::get_if<wire::failed>(&body)) {
    if (f->code != errc::not_found) return fail(f->code, f->text);  // not now: a new connection tries again
    if (gate != nullptr) gate->mark_gone();
    return {};
  }
  const auto *o = std::get_if<wire::volume_opened>(&body);
  if (o == nullptr) return not_an_opening;
  if (gate != nullptr && o->id == request.about) return open_gate(gate->name(), *o);
  // Another volume has the name now (the store was restored), or ours was closed meanwhile.
  if (gate != nullptr) gate->mark_gone();
  if (gates.find(o->id) == nullptr) (void)requests.add(purpose::close, wire::close_volume{o->id});
  return {};
}

result<> client_machine::impl::snapshot_answered(ticket t, pending_request &request,
                                                 const wire::message &body) {
  if (const auto *o = std::get_if<wire::snapshot_opened>(&body)) {
    if (o->id == volume_id{} || o->number == snapshot_number{} || o->size_bytes == 0)
      return fail(errc::invalid, "a snapshot without number or size");
    open_snapshots::handle &h = snapshots.opened(*o, chunks_of(o->size_bytes));
    if (!request.abandoned) ++h.opens;
  } else if (!std::holds_alternative<wire::failed>(body)) {
    return not_an_opening;
  }
  if (!request.abandoned) requests.keep_answer(t, body);
  close_unused();
  return {};
}

result<> client_machine::impl::snapshot_reopened(const pending_request &request, const wire::message &body) {
  const auto &asked = std::get<wire::open_snapshot>(request.what);
  if (const auto *f = std::get_if<wire::failed>(&body)) {
    if (f->code != errc::not_found) return fail(f->code, f->text);
    snapshots.mark_gone(asked.id, asked.number);
    return {};
  }
  const auto *o = std::get_if<wire::snapshot_opened>(&body);
  if (o == nullptr || o->id != asked.id || o->number != asked.number) return not_an_opening;
  const auto *h = snapshots.find(o->id, o->number);
  if (h != nullptr && h->chunk_count != chunks_of(o->size_bytes)) snapshots.mark_gone(o->id, o->number);
  return {};
}

void client_machine::impl::close_unused() {
  if (!requests.any(purpose::open_volume)) {
    std::vector<volume_id> unused;
    gates.for_each([&](const write_gate &g) {
      if (g.opens() == 0) unused.push_back(g.id());
    });
    for (const volume_id id : unused) {
      gates.close(id);
      (void)requests.add(purpose::close, wire::close_volume{id});
    }
  }
  if (requests.any(purpose::open_snapshot)) return;
  std::vector<open_snapshots::key> unused;
  snapshots.for_each([&](volume_id volume, snapshot_number number, const open_snapshots::handle &h) {
    if (h.opens == 0) unused.emplace_back(volume, number);
  });
  for (const auto &[volume, number] : unused) {
    snapshots.close(volume, number);
    (void)requests.add(purpose::close, wire::close_snapshot{volume, number});
  }
}

}  // namespace csnap::client
