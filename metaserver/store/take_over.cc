// SPDX-License-Identifier: BSD-3-Clause
//
// How a master begins. The order is the design's rule 8: the own term is durable before any log is read, so
// that a predecessor that looks at the store afterwards sees that it is over.
#include "metaserver/base/check.h"
#include "metaserver/store/engine_impl.h"
#include "metaserver/store/newest_term.h"
#include "metaserver/store/offline.h"
#include "metaserver/store/recovery.h"
#include "metaserver/store/superblock_blocks.h"

#include <algorithm>
#include <optional>

namespace csnap::store {
namespace {

// The label's bounds come from the disk: nothing may reach beyond the device.
result<geometry> read_shape(block_device &metadata, bool formatting) {
  if (formatting) {
    auto unfinished = read_superblock(metadata);
    if (!unfinished) return unfinished.error();
    return unfinished->shape;
  }
  auto found = read_label(metadata);
  if (!found) return found.error();
  if (found->role == device_role::data)
    return fail(errc::invalid, "this is the data device of a store whose metadata lies elsewhere");
  const geometry &g = found->shape;
  if (g.node_count == 0 || g.node_count > node_count_max || g.log_blocks == 0 || g.page_count == 0 ||
      g.pages_offset_bytes / block_bytes + g.page_count > metadata.size_bytes() / block_bytes)
    return fail(errc::corrupt, "superblock: its geometry does not fit the device");
  return g;
}

// A later term's log begins where no block of an earlier one can have the expected number.
std::uint64_t first_log_sequence(const geometry &shape, const root &own_last) {
  return own_last.term.counter == 0 ? 1 : own_last.log_sequence + shape.log_blocks;
}

result<> no_term_above(term_id own, term_id newest) {
  if (newest == own) return {};
  return fail(errc::stale, "another master took term " + to_text(newest) + " meanwhile");
}

result<> write_first_root(engine &e, block_device &metadata, bool others_may_be_elected,
                          const planted_mistakes &planted) {
  auto pages = e.take_checkpoint();
  if (!pages) return pages.error();
  auto done = run_writes(metadata, pages->writes, durability::cached);
  if (done && !planted.no_flush_before_root && !planted.recovery_not_flushed) done = metadata.flush();
  const auto how = planted.recovery_not_flushed ? durability::cached : durability::durable;
  if (done) done = run_writes(metadata, e.take_root().writes, how);
  // Else a successor may have begun from the root before this one, and need the pages that this one frees.
  if (done && others_may_be_elected) {
    const auto newest = newest_term(metadata, e.shape());
    done = newest ? no_term_above(e.term(), *newest) : newest.error();
  }
  if (!done) return done;
  e.checkpoint_done();
  return {};
}

// The areas that the term may use, as its slot says them.
void claim_areas(slot &own, const std::vector<slot> &slots, const engine_options &options,
                 const planted_mistakes &planted) {
  if (options.predecessors_dead || planted.dead_areas_at_once) {
    own.claimed_areas.fill(std::byte{0xff});
    own.dead_below = own.term;
  } else {
    own.claimed_areas = choose_areas(slots, options.node);
  }
}

// Writes term and claims, and reads all slots after that. Who claimed an area meanwhile was not seen when ours
// were chosen, and has perhaps not seen ours: it is left to the other. Each round is another's new claim.
result<std::vector<slot>> enter_term(block_device &metadata, const geometry &shape, slot &own,
                                     const planted_mistakes &planted) {
  for (;;) {
    ++own.sequence;
    const auto written = run_writes(metadata, slot_writes(shape, own, planted), durability::durable);
    if (!written) return written.error();
    auto slots = read_all_slots(metadata, shape, planted);
    if (!slots) return slots.error();
    if (const auto still = no_term_above(own.term, highest_term(*slots)); !still) return still.error();
    if (planted.claims_not_compared || !claims_meet(*slots, own.node)) return slots;
    own.claimed_areas = choose_areas(*slots, own.node);
  }
}

}  // namespace

result<std::unique_ptr<engine>> engine::take_over(block_device &metadata, const engine_options &options) {
  const auto planted = planted_mistakes::parse(options.planted);
  if (auto flushed = metadata.flush(); !flushed) return flushed.error();
  auto shape = read_shape(metadata, options.formatting);
  if (!shape) return shape.error();
  if (options.node >= shape->node_count)
    return fail(errc::invalid, "node " + std::to_string(options.node) + ": this store has nodes 0 to " +
                                   std::to_string(shape->node_count - 1));
  if (options.address.size() > address_length_max)
    return fail(errc::invalid, "the server's address is too long");
  auto slots = read_all_slots(metadata, *shape, planted);
  if (!slots) return slots.error();

  auto parts = std::make_unique<impl>();
  parts->own = (*slots)[options.node];
  parts->own.term = {std::max(highest_term(*slots).counter, options.election_counter) + 1, options.node};
  parts->own.address = options.address;
  claim_areas(parts->own, *slots, options, planted);
  const auto replay = [&] {
    return recover(metadata, *shape, *slots, parts->own.term, parts->own.claimed_areas, options.cache_bytes,
                   planted);
  };
  std::optional<result<recovered>> too_early;
  if (planted.replay_first) too_early.emplace(replay());
  slots = enter_term(metadata, *shape, parts->own, planted);
  if (!slots) return slots.error();
  if (!options.predecessors_dead) parts->unproven = *slots;
  auto found = too_early ? std::move(*too_early) : replay();
  if (!found) return found.error();
  parts->state = std::move(found->state);
  parts->log.emplace(*shape, parts->own.term, first_log_sequence(*shape, parts->own.newest_root),
                     found->last);
  std::unique_ptr<engine> e(new engine(std::move(parts)));
  if (auto done = write_first_root(*e, metadata, !options.predecessors_dead, planted); !done)
    return done.error();
  return e;
}

result<std::unique_ptr<engine>> engine::open_read_only(block_device &metadata, std::size_t cache_bytes) {
  auto shape = read_shape(metadata, false);
  if (!shape) return shape.error();
  auto slots = read_all_slots(metadata, *shape);
  if (!slots) return slots.error();
  area_set everything;
  everything.fill(std::byte{0xff});
  const term_id reader;  // of pages that only ever are in memory
  auto found = recover(metadata, *shape, *slots, reader, everything, cache_bytes);
  if (!found) return found.error();
  auto parts = std::make_unique<impl>();
  parts->own.term = found->newest.term;
  parts->last_appended = found->last;
  parts->state = std::move(found->state);
  return std::unique_ptr<engine>(new engine(std::move(parts)));
}

}  // namespace csnap::store
