// SPDX-License-Identifier: BSD-3-Clause
//
// Queries of the catalog, appending, and the jobs.
#include "metaserver/store/engine.h"

#include "metaserver/base/check.h"
#include "metaserver/store/engine_impl.h"
#include "metaserver/store/slot_blocks.h"

#include <algorithm>

namespace csnap::store {
namespace {

constexpr std::size_t message_bytes = 65536;       // of records that one message may append
constexpr std::uint64_t message_pages_max = 6000;  // 64 KiB of exceptions, each in a leaf of its own
// A batch of 64 copies, the most that our client commits at once (store_state::pages_needed): a smaller store
// promises this too, or it would refuse a batch although a checkpoint makes room for it.
constexpr std::uint64_t batch_pages = 3 * 64 + 16;
constexpr std::uint64_t growth_pages_max = 1024;
constexpr std::size_t changed_entries_max = 2048;  // catalog entries between two checkpoints

// Only these can make the trees larger by more than the reserve foresees.
bool is_growth(const record &r) {
  return std::holds_alternative<volume_added>(r) || std::holds_alternative<snapshots_created>(r) ||
         std::holds_alternative<exceptions_added>(r) || std::holds_alternative<session_opened>(r) ||
         std::holds_alternative<chunks_reserved>(r) || std::holds_alternative<store_grown>(r);
}

}  // namespace

engine::engine(std::unique_ptr<impl> implementation) : impl_(std::move(implementation)) {}
engine::~engine() = default;

const geometry &engine::shape() const { return impl_->state->shape; }
term_id engine::term() const { return impl_->own.term; }

const std::map<volume_id, volume_info> &engine::volumes() const { return impl_->state->catalog.volumes; }
const std::map<snapshot_number, snapshot_info> &engine::snapshots(volume_id volume) const {
  return impl_->state->catalog.detail(volume).snapshots;
}
const volume_info *engine::find_volume(std::string_view name) const {
  return impl_->state->catalog.find_volume(name);
}
const snapshot_info *engine::find_snapshot(volume_id volume, std::string_view name) const {
  return impl_->state->catalog.find_snapshot(volume, name);
}
const std::map<session_id, session_info> &engine::sessions() const { return impl_->state->catalog.sessions; }
const std::map<reservation_id, reservation_info> &engine::reservations() const {
  return impl_->state->catalog.reservations;
}
const settings &engine::current_settings() const { return impl_->state->catalog.values; }
snapshot_number engine::last_snapshot_number() const { return impl_->state->catalog.last_snapshot; }
session_id engine::last_session_id() const { return impl_->state->catalog.last_session; }
reservation_id engine::last_reservation_id() const { return impl_->state->catalog.last_reservation; }
bool engine::request_done(const unique_id &request) const {
  return impl_->state->catalog.request_done(request);
}
std::uint64_t engine::exceptions_of(volume_id volume) const {
  return impl_->state->catalog.detail(volume).exception_count;
}

std::uint64_t engine::chunks_free_now() const {
  const space_map &chunks = impl_->state->chunks;
  return chunks.unit_count() - chunks.busy_count();
}

space_usage engine::usage() const {
  const store_state &s = *impl_->state;
  const std::uint64_t used = s.chunks.busy_count() - s.held_chunks.size();
  space_usage u;
  u.chunks_total = s.shape.chunk_count;
  u.chunks_free = u.chunks_total - used;
  u.chunks_reserved = s.catalog.chunks_reserved;
  u.chunks_owned = used - u.chunks_reserved;
  u.pages_total = s.shape.page_count;
  u.pages_free = s.pages.free_count() + s.pages.held_count();
  u.exceptions = s.exception_count;
  return u;
}

// ---- room ----
// Three levels of free pages: what the next checkpoint needs is never touched by a record; what one message
// needs must be free at once, or the checkpoint comes first; and records that make the trees grow stop while
// there is still enough for all that shrinks them. In a store that is small for this, or for a master that knows
// nothing about its predecessors and has few areas, parts of what it may allocate from must do.

std::uint64_t engine::impl::pages_per_message() const {
  const std::uint64_t allowed = state->pages.allowed_count();
  return std::min(message_pages_max, std::max(allowed / 8, std::min(batch_pages, allowed / 2)));
}

bool engine::impl::may_grow(std::uint64_t more_for_maps) const {
  const std::uint64_t reserve = state->pages_for_maps() + pages_per_message() +
                                std::min(growth_pages_max, state->pages.allowed_count() / 16);
  return state->pages.free_count() + state->pages.held_count() >= reserve + more_for_maps;
}

bool engine::metadata_is_full() const { return !impl_->may_grow(); }

bool engine::has_room() const {
  const store_state &s = *impl_->state;
  if (impl_->log && !impl_->log->has_space(message_bytes)) return false;
  const std::size_t dirty = s.cache.fresh_count() + s.cache.frozen_count();
  if (impl_->log && dirty > s.cache.capacity() / 2) return false;
  return s.pages.free_count() >= s.pages_for_checkpoint() + impl_->pages_per_message() ||
         (s.pages.held_count() == 0 && s.catalog.changed().empty());  // a checkpoint would free nothing
}

bool engine::checkpoint_is_due() const {
  if (checkpoint_is_running()) return false;
  const store_state &s = *impl_->state;
  return impl_->predecessors == impl::proof::came || impl_->log->is_half_full() ||
         s.cache.fresh_count() > s.cache.capacity() / 4 || s.catalog.changed().size() > changed_entries_max ||
         !has_room();
}

// ---- changes ----

result<record_seq> engine::append(const record &r) {
  store_state &s = *impl_->state;
  const auto why = s.misfit(r);
  if (why) check_failed(std::source_location::current(), why->c_str());
  if (is_growth(r) && metadata_is_full())
    return fail(errc::no_space, "the metadata area is full: only deleting and closing is possible");
  auto needed = s.pages_needed(r);
  if (!needed) return needed.error();
  if (std::holds_alternative<store_grown>(r) && !impl_->may_grow(*needed))
    return fail(errc::no_space, "the metadata area has no room for the map of so many chunks");
  if (s.pages.free_count() < s.pages_for_checkpoint() + *needed)
    return fail(errc::no_space, "too few free metadata pages before the next checkpoint");
  const record_seq seq{last_appended().value + 1};
  if (auto done = s.apply(r, seq); !done) return done.error();
  if (s.planted.reuse_before_durable) s.release_chunks(seq);
  if (impl_->log) impl_->log->append(encode_record(r));
  else impl_->last_appended = seq;
  s.cache.trim();
  return seq;
}

record_seq engine::last_appended() const {
  return impl_->log ? impl_->log->last_appended() : impl_->last_appended;
}
record_seq engine::last_durable() const {
  if (impl_->state->planted.ack_before_write) return last_appended();
  return impl_->log ? impl_->log->last_durable() : impl_->last_appended;
}

// ---- jobs ----

std::optional<log_batch> engine::take_log_batch() {
  check(impl_->log.has_value(), "a job of a read-only engine");
  return impl_->log->take_batch();
}

void engine::log_batch_durable() {
  impl_->log->batch_durable();
  impl_->state->release_chunks(impl_->log->last_durable());
}

bool engine::checkpoint_is_running() const { return impl_->checkpoint != impl::phase::idle; }

result<checkpoint_pages> engine::take_checkpoint() {
  check(impl_->log.has_value(), "a job of a read-only engine");
  check(!checkpoint_is_running(), "two checkpoints at once");
  root next;
  next.covers = impl_->log->last_appended();
  next.log_sequence = impl_->log->next_sequence();
  auto writes = impl_->state->write_pages(next);
  if (!writes) return writes.error();
  if (impl_->state->planted.reuse_before_durable) impl_->state->pages.checkpoint_done();
  impl_->checkpoint = impl::phase::pages;
  impl_->next_root = next;
  return checkpoint_pages{std::move(*writes), next.covers};
}

root_write engine::take_root() {
  check(impl_->checkpoint == impl::phase::pages, "no checkpoint waits for its root");
  check(last_durable() >= impl_->next_root.covers, "a root before the log it covers");
  impl_->checkpoint = impl::phase::root;
  impl_->own.newest_root = impl_->next_root;
  ++impl_->own.sequence;
  if (impl_->predecessors == impl::proof::came) {
    impl_->predecessors = impl::proof::claimed;
    impl_->own.claimed_areas = areas_after_proof(impl_->unproven, impl_->own.claimed_areas);
    impl_->own.dead_below = impl_->own.term;
  }
  return {slot_writes(impl_->state->shape, impl_->own, impl_->state->planted)};
}

void engine::checkpoint_done() {
  check(impl_->checkpoint == impl::phase::root, "no root was taken");
  impl_->checkpoint = impl::phase::idle;
  impl_->state->cache.frozen_are_durable();
  impl_->state->pages.checkpoint_done();
  if (impl_->predecessors == impl::proof::claimed) {
    impl_->predecessors = impl::proof::none;
    impl_->unproven.clear();
    impl_->state->pages.allow(impl_->own.claimed_areas);
  }
  impl_->log->release_before(impl_->next_root.log_sequence);
  impl_->state->cache.trim();
}

void engine::predecessors_died() {
  check(impl_->log.has_value(), "a job of a read-only engine");
  if (!impl_->unproven.empty() && impl_->predecessors == impl::proof::none)
    impl_->predecessors = impl::proof::came;
}

}  // namespace csnap::store
