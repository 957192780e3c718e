// SPDX-License-Identifier: BSD-3-Clause
#include "nbdkit-plugin/snapshot_io.h"

#include "metaserver/base/check.h"

#include <algorithm>
#include <cstring>

namespace csnap::plugin {

using client::read_plan;
using client::read_state;
using wire::place_kind;

result<> snapshot_io::read(std::uint64_t offset, std::span<std::byte> into) {
  for (bool first_piece = true; !into.empty(); first_piece = false) {
    if (!first_piece && client_.interrupted()) return fail(errc::shutting_down, "interrupted in a long read");
    const std::uint64_t stop = (offset / chunk_bytes_ + piece_chunks) * chunk_bytes_;
    const std::size_t length = std::min<std::uint64_t>(into.size(), stop - offset);
    if (auto r = read_piece(offset, into.first(length)); !r) return r;
    into = into.subspan(length);
    offset += length;
  }
  return {};
}

result<> snapshot_io::read_piece(std::uint64_t offset, std::span<std::byte> into) {
  const chunk_no first{offset / chunk_bytes_};
  const std::uint64_t count = chunks_in(offset, into.size());
  if (count == 1)
    if (auto done = read_hinted(first, offset, into)) return std::move(*done);
  const int rounds = count > 1 ? rounds_together : rounds_one_chunk;
  for (int round = 0; round < rounds; ++round) {
    if (round > 0 && client_.interrupted())
      return fail(errc::shutting_down, "interrupted while reading again");
    const auto where = plan(first, count);
    if (!where) return where.error();
    if (count == 1) hints_.note(first, {where->seen, where->places[0]});
    const auto outcome = read_places(*where, offset, into);
    // An error counts only if the plan still held: what failed may have been a chunk that had moved.
    if (!client_.finish_read(what_.volume, what_.number, first, *where)) continue;
    return outcome;
  }
  if (count > 1) return read_chunk_by_chunk(offset, into);
  return fail(errc::io,
              "chunk " + std::to_string(first.value) + " of snapshot " + std::to_string(what_.number.value) +
                  " could not be read before the lease ran out, " + std::to_string(rounds) + " times");
}

std::optional<result<>> snapshot_io::read_hinted(chunk_no chunk, std::uint64_t offset,
                                                 std::span<std::byte> into) {
  const auto hint = hints_.find(chunk);
  if (!hint || hint->seen != client_.watch().changes()) return {};
  auto outcome = read_place(hint->place, offset, into);
  if (!client_.watch().still_holds(hint->seen, client_.now())) return {};
  return outcome;
}

result<> snapshot_io::read_chunk_by_chunk(std::uint64_t offset, std::span<std::byte> into) {
  while (!into.empty()) {
    const std::size_t length = std::min<std::uint64_t>(into.size(), chunk_bytes_ - offset % chunk_bytes_);
    if (auto r = read_piece(offset, into.first(length)); !r) return r;
    into = into.subspan(length);
    offset += length;
  }
  return {};
}

result<read_plan> snapshot_io::plan(chunk_no first, std::uint64_t count) {
  auto where = client_.begin_read(what_.volume, what_.number, first, count);
  if (!where) return where;
  if (where->what == read_state::gone)
    return fail(errc::gone, "snapshot " + std::to_string(what_.number.value) + " was deleted");
  check(where->what == read_state::ready && where->places.size() == count, "a read plan without places");
  return where;
}

std::size_t snapshot_io::run_length(const std::vector<client::read_place> &places, std::size_t from) {
  std::size_t count = 1;
  while (from + count < places.size() && places[from + count].kind == places[from].kind &&
         (places[from].kind != place_kind::store ||
          places[from + count].chunk.value == places[from].chunk.value + count))
    ++count;
  return count;
}

result<> snapshot_io::read_places(const read_plan &plan, std::uint64_t offset, std::span<std::byte> into) {
  for (std::size_t i = 0; i < plan.places.size();) {
    const std::size_t count = run_length(plan.places, i);
    const std::uint64_t run_end = (offset / chunk_bytes_ + count) * chunk_bytes_;
    const auto part = into.first(std::min<std::uint64_t>(into.size(), run_end - offset));
    if (auto r = read_place(plan.places[i], offset, part); !r) return r;
    into = into.subspan(part.size());
    offset += part.size();
    i += count;
  }
  return {};
}

result<> snapshot_io::read_place(const client::read_place &place, std::uint64_t offset,
                                 std::span<std::byte> into) {
  switch (place.kind) {
    case place_kind::zero: std::memset(into.data(), 0, into.size()); return {};
    case place_kind::origin: return origin_.read(offset, into);
    case place_kind::store: return store_.read(place.chunk, offset % chunk_bytes_, into);
  }
  unreachable("a kind of place");
}

// A zero place is an exception in the store and does not change while the snapshot is open; calling
// everything else data is always right. So nothing has to be checked afterwards.
result<std::vector<export_extent>> snapshot_io::extents(std::uint64_t offset, std::uint64_t length,
                                                        bool one) {
  std::vector<export_extent> list;
  const std::uint64_t end = offset + length;
  for (std::uint64_t pieces = 0; offset < end && pieces < extent_pieces_max; ++pieces) {
    if (pieces > 0 && client_.interrupted()) return fail(errc::shutting_down, "interrupted in block status");
    // Up to the end of a map segment: one map for each piece.
    const std::uint64_t first = offset / chunk_bytes_;
    const std::uint64_t stop = std::min(end, (first / piece_chunks + 1) * piece_chunks * chunk_bytes_);
    const auto where = plan(chunk_no{first}, chunks_in(offset, stop - offset));
    if (!where) return where.error();
    for (const client::read_place &place : where->places) {
      const std::uint64_t chunk_stop = std::min(stop, (offset / chunk_bytes_ + 1) * chunk_bytes_);
      const bool zero = place.kind == place_kind::zero;
      append_extent(list, {offset, chunk_stop - offset, zero ? extent_hole | extent_zero : extent_data});
      offset = chunk_stop;
    }
    if (one && list.size() > 1) break;
  }
  if (one) list.resize(1);
  return list;
}

}  // namespace csnap::plugin
