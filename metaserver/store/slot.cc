// SPDX-License-Identifier: BSD-3-Clause
//
// Payload of a slot: u32 node, u32 zero, u64 sequence, u64 term counter, u32 term node, u8[32] claimed areas,
// u64 counter and u32 node of the term below which all are dead, text address, root. Of a root: u64 term
// counter, u32 term node, u64 generation, u64 covers, four pointers (exceptions, catalog, chunk map, page
// map), then as u64: exceptions, log sequence, last snapshot, session and reservation, requests, chunks.
#include "metaserver/store/page_pointer.h"

#include <algorithm>

namespace csnap::store {
namespace {

void put_root(byte_writer &out, const root &r) {
  out.u64(r.term.counter);
  out.u32(r.term.node);
  out.u64(r.generation);
  out.u64(r.covers.value);
  for (const page_pointer p : {r.exceptions, r.catalog, r.chunk_map, r.page_map}) put_pointer(out, p);
  out.u64(r.exception_count);
  out.u64(r.log_sequence);
  out.u64(r.last_snapshot.value);
  out.u64(r.last_session.value);
  out.u64(r.last_reservation.value);
  out.u64(r.request_counter);
  out.u64(r.chunk_count);
}

root get_root(byte_reader &in) {
  root r;
  r.term.counter = in.u64();
  r.term.node = in.u32();
  r.generation = in.u64();
  r.covers = record_seq{in.u64()};
  for (page_pointer *p : {&r.exceptions, &r.catalog, &r.chunk_map, &r.page_map}) *p = get_pointer(in);
  r.exception_count = in.u64();
  r.log_sequence = in.u64();
  r.last_snapshot = snapshot_number{in.u64()};
  r.last_session = session_id{in.u64()};
  r.last_reservation = reservation_id{in.u64()};
  r.request_counter = in.u64();
  r.chunk_count = in.u64();
  return r;
}

}  // namespace

std::vector<std::byte> encode_slot(const slot &s) {
  check(s.address.size() <= address_length_max, "address too long for a slot");
  byte_writer out;
  out.u32(s.node);
  out.u32(0);
  out.u64(s.sequence);
  out.u64(s.term.counter);
  out.u32(s.term.node);
  out.raw(s.claimed_areas);
  out.u64(s.dead_below.counter);
  out.u32(s.dead_below.node);
  out.text(s.address);
  put_root(out, s.newest_root);
  return out.release();
}

result<slot> decode_slot(std::span<const std::byte> payload) {
  byte_reader in(payload);
  slot s;
  s.node = in.u32();
  in.u32();
  s.sequence = in.u64();
  s.term.counter = in.u64();
  s.term.node = in.u32();
  const auto areas = in.take(s.claimed_areas.size());
  std::copy(areas.begin(), areas.end(), s.claimed_areas.begin());
  s.dead_below.counter = in.u64();
  s.dead_below.node = in.u32();
  s.address = in.text(address_length_max);
  s.newest_root = get_root(in);
  if (!in.finished()) return fail(errc::corrupt, "slot: its payload has the wrong length");
  if (s.newest_root.term.counter != 0 && s.newest_root.term > s.term)
    return fail(errc::corrupt, "slot: root of term " + to_text(s.newest_root.term) + " above its own term " +
                                   to_text(s.term));
  return s;
}

}  // namespace csnap::store
