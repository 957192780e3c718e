// SPDX-License-Identifier: BSD-3-Clause
//
// What the clients of the NBD servers do: reads and writes of the origins that overlap in time and place on all
// nodes, and reads of snapshots and differences while others create and delete them.
#include "tests/simulation/cluster.h"
#include "tests/simulation/probes.h"

#include <algorithm>

namespace csnap::simulation {
namespace {

constexpr std::uint64_t operations_min = 20;

struct thread {
  cluster &c;
  node_process &node;
  prng &chance;
  unsigned number;

  volume_id some_volume() {
    return volume_id{static_cast<std::uint32_t>(chance.between(1, c.options.volumes))};
  }
  // Small and few places, so that threads meet.
  sector_history::range some_range(bool large) {
    const std::uint64_t sectors = c.options.volume_sectors, per_chunk = c.options.chunk_bytes / sector_bytes;
    sector_history::range r;
    std::uint64_t longest = large ? per_chunk * 6 : std::min<std::uint64_t>(per_chunk, 12);
    r.count =
        static_cast<std::uint64_t>(chance.between(1, static_cast<std::int64_t>(std::min(longest, sectors))));
    r.first = chance.below(sectors - r.count + 1);
    if (chance.one_in(4)) {  // whole chunks
      r.first = r.first / per_chunk * per_chunk;
      r.count = std::min(per_chunk * static_cast<std::uint64_t>(large ? chance.between(1, 5) : 1),
                         sectors - r.first);
    }
    if (chance.one_in(12)) r.first = sectors - r.count;
    if (chance.one_in(3)) r.first = std::min(r.first % (2 * per_chunk), sectors - r.count);  // all meet here
    return r;
  }

  void explain(const char *what, const error &why, bool may_be_gone) {
    ++c.count.errors;
    const bool io = c.options.has(fault::origin_errors) || c.options.has(fault::store_errors) ||
                    c.options.has(fault::device_full) ||
                    (c.options.has(fault::metadata_errors) && !c.options.separate_metadata);
    switch (why.code) {
      case errc::io: sometimes(probe::io_error_seen); break;
      case errc::no_space: sometimes(probe::no_space_seen); return;
      case errc::gone: sometimes(probe::gone_seen); break;
      default: break;
    }
    if (why.code == errc::io && io) return;
    const bool says_gone = why.code == errc::gone || why.code == errc::not_found || why.code == errc::refused;
    if (says_gone && may_be_gone) return;
    // Where a disk or a peer is slow beyond a lease, a read may fail after many attempts.
    c.judged->wrong("refused", std::string(what) + " failed: " + why.text);
  }

  void write() {
    const volume_id volume = some_volume();
    const auto where = some_range(chance.one_in(4));
    const auto kind = chance.below(10);  // 0..6 data, 7..8 zero, 9 trim
    const bool fua = chance.one_in(4);
    sector_history &history = c.judged->history(volume.value);
    const write_id id = kind < 7 ? c.next_write() : 0;
    const std::uint64_t offset = where.first * sector_bytes, length = where.count * sector_bytes;
    const bool does_nothing = kind == 9 && !c.options.disks.trim_zeroes;
    const nanoseconds began = c.w.now();
    const auto entry = does_nothing ? 0 : history.write_began(where, id, &node.self(), began);
    std::vector<std::byte> bytes(kind < 7 ? length : 0);
    for (std::uint64_t s = 0; kind < 7 && s < where.count; ++s)
      put_stamp(bytes.data() + s * sector_bytes, {.volume = volume.value,
                                                  .sector = where.first + s,
                                                  .id = id,
                                                  .node = node.number(),
                                                  .thread = number});
    const auto how = fua ? durability::durable : durability::cached;
    const bool waits = c.judged->surely_waits_for_room(volume);
    const auto policy_changes = c.judged->policy_changes;
    const auto done = node.write(volume, [&](plugin::origin_io &io) {
      if (kind < 7) return io.write(offset, bytes, how);
      if (kind < 9) return io.zero(offset, length, chance.one_in(2), how);
      return io.trim(offset, length, how);
    });
    sometimes(probe::write_of_several_chunks, where.count > c.options.chunk_bytes / sector_bytes);
    if (!done) {
      if (!does_nothing) history.write_failed(entry);
      if (done.error().code == errc::no_space && waits && policy_changes == c.judged->policy_changes)
        c.judged->wrong("refused", "a write that was to wait for room failed: " + done.error().text);
      return explain("a write", done.error(), false);
    }
    ++c.judged->count.writes;
    sometimes(kind < 7   ? fua ? probe::write_with_fua : probe::write_of_data
              : kind < 9 ? probe::write_of_zeroes
                         : probe::trimmed);
    const bool durable = fua && kind != 9;
    if (!does_nothing) history.write_ended(entry, durable, c.w.now());
  }

  void read() {
    const volume_id volume = some_volume();
    const auto where = some_range(chance.one_in(4));
    std::vector<std::byte> bytes(where.count * sector_bytes);
    const nanoseconds began = c.w.now();
    const auto done = node.origin(volume).read(where.first * sector_bytes, bytes);
    if (!done) return explain("a read", done.error(), false);
    ++c.judged->count.reads;
    sometimes(probe::origin_read);
    const auto why = c.judged->history(volume.value).read_ended(where, bytes.data(), began, c.w.now());
    if (!why.empty()) c.judged->wrong("register", why);
  }

  void flush() {
    const volume_id volume = some_volume();
    const nanoseconds began = c.w.now();
    const auto done = node.origin(volume).flush();
    if (!done) return explain("a flush", done.error(), false);
    sometimes(probe::origin_flushed);
    c.judged->history(volume.value).flushed(&node.self(), began);
  }

  struct named {
    volume_id volume;
    std::string name;
  };
  std::vector<named> candidates() const {
    std::vector<named> out;
    for (const auto &[key, known] : c.judged->names)
      if (known.exists != judge::existence::no) out.push_back({volume_id{key.first}, key.second});
    return out;
  }
  bool may_be_gone(const named &n) const {
    const auto &known = c.judged->names.at({n.volume.value, n.name});
    return known.is_going || known.exists != judge::existence::yes || known.busy || known.may_be_given_up;
  }

  void read_snapshot() {
    const auto all = candidates();
    if (all.empty()) return read();
    const named which = all[chance.below(all.size())];
    const bool was_moving = may_be_gone(which);
    const auto opened = node.client().open_snapshot(which.volume.value == 1 ? "a" : "b", which.name);
    if (!opened) return explain("opening a snapshot", opened.error(), was_moving || may_be_gone(which));
    plugin::snapshot_io io({opened->id, opened->number, opened->size_bytes}, node.origin(which.volume),
                           node.store(), node.client());
    const nanoseconds lease = c.options.lease_ms * millisecond;
    const nanoseconds until = c.options.reads_long ? c.w.now() + chance.between(0, 3 * lease) : 0;
    for (auto rounds = chance.between(1, 3); rounds > 0 && !c.judged->failed(); --rounds) {
      if (until > c.w.now() && !c.is_healed) {
        ++rounds;
        c.w.sleep(chance.between(0, lease / 50));
      }
      const auto where = some_range(chance.one_in(2));
      std::vector<std::byte> bytes(where.count * sector_bytes);
      const auto done = io.read(where.first * sector_bytes, bytes);
      if (!done) {
        explain("a read of a snapshot", done.error(), may_be_gone(which));
        break;
      }
      sometimes(probe::snapshot_read);
      c.judged->snapshot_read(opened->id, opened->number, where.first * sector_bytes, bytes);
      if (chance.one_in(4)) check_extents(io, *opened);
    }
    node.client().close_snapshot(opened->id, opened->number);
  }

  void check_extents(plugin::snapshot_io &io, const wire::snapshot_opened &opened) {
    const auto list = io.extents(0, c.volume_bytes(), false);
    if (!list) return;
    for (const auto &e : *list)
      if (e.type & plugin::extent_zero)
        for (std::uint64_t at = e.offset; at < e.offset + e.length; at += c.options.chunk_bytes)
          if (!c.judged->chunk_is_zero(opened.id, opened.number, at / c.options.chunk_bytes))
            c.judged->wrong("frozen", "a chunk that is not zero is said to be");
    sometimes(probe::extents_of_snapshot);
  }

  void difference() {
    auto all = candidates();
    std::erase_if(all, [&](const named &n) { return n.volume != all.front().volume; });
    if (all.size() < 2) return flush();
    named one = all[chance.below(all.size())], other = all[chance.below(all.size())];
    const std::string volume = one.volume.value == 1 ? "a" : "b";
    const bool moving = may_be_gone(one) || may_be_gone(other);
    const auto a = node.client().open_snapshot(volume, one.name);
    if (!a) return explain("opening a snapshot", a.error(), moving || may_be_gone(one));
    const auto b = node.client().open_snapshot(volume, other.name);
    if (b) {
      const auto &older = a->number < b->number ? *a : *b, &newer = a->number < b->number ? *b : *a;
      plugin::difference_io io({older.id, older.number, newer.number, newer.size_bytes},
                               c.options.chunk_bytes, node.client());
      check_difference(io, older, newer, [&] { return moving || may_be_gone(one) || may_be_gone(other); });
      node.client().close_snapshot(b->id, b->number);
    } else {
      explain("opening a snapshot", b.error(), moving || may_be_gone(other));
    }
    node.client().close_snapshot(a->id, a->number);
  }

  void check_difference(plugin::difference_io &io, const wire::snapshot_opened &older,
                        const wire::snapshot_opened &newer, const std::function<bool()> &gone) {
    const auto list = io.extents(0, c.volume_bytes(), false);
    if (!list) return explain("a difference", list.error(), gone());
    ++c.judged->count.diffs;
    sometimes(probe::difference_read);
    for (const auto &e : *list)
      for (std::uint64_t at = e.offset; at < e.offset + e.length;
           at += c.options.chunk_bytes - at % c.options.chunk_bytes) {
        const std::uint64_t chunk = at / c.options.chunk_bytes;
        if (e.type == plugin::extent_hole &&
            c.judged->chunk_differs(older.id, older.number, newer.number, chunk))
          c.judged->wrong("difference",
                          "chunk " + std::to_string(chunk) + " changed and is not in the difference");
        if ((e.type & plugin::extent_zero) && !c.judged->chunk_is_zero(newer.id, newer.number, chunk))
          c.judged->wrong("difference",
                          "chunk " + std::to_string(chunk) + " is not zero in the newer snapshot");
      }
  }

  bool only_reads() const { return node.number() > c.options.nodes - c.options.readers; }

  void some_operation() {
    const auto kind = only_reads() ? 10 + chance.below(10) : chance.below(c.options.only_writes ? 15 : 20);
    if (kind < 10) write();
    else if (kind < 13) read();
    else if (kind < 15) flush();
    else if (kind < 19) read_snapshot();
    else difference();
  }
};

}  // namespace

void one_operation(cluster &c, node_process &node, prng &chance, unsigned number) {
  thread{c, node, chance, number}.some_operation();
}

void start_threads(cluster &c, node_process &node) {
  for (unsigned t = 0; t < c.options.threads_per_node; ++t)
    node.self().start([&c, &node, t] {
      prng chance =
          c.w.stream(node.self().name() + "." + std::to_string(node.self().pid()) + "." + std::to_string(t));
      // Something must have happened, however bad the weather was.
      const auto goes_on = [&c] {
        return !c.judged->failed() && c.operations_left > 0 &&
               (!c.is_healed || c.count.operations < operations_min);
      };
      while (goes_on()) {
        c.w.sleep(chance.between(0, 2 * c.options.pause_between_operations));
        if (!goes_on()) break;
        --c.operations_left;
        ++c.busy_threads;
        // Counted down also when the process dies in it.
        const auto over = std::make_shared<bool>(false);
        node.self().at_death.push_back([&c, over] {
          if (!std::exchange(*over, true)) --c.busy_threads;
        });
        one_operation(c, node, chance, t);
        ++c.count.operations;
        if (!std::exchange(*over, true)) --c.busy_threads;
      }
    });
}

}  // namespace csnap::simulation
