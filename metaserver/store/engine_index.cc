// SPDX-License-Identifier: BSD-3-Clause
//
// Questions to the index and to the map of store chunks.
#include "metaserver/base/check.h"
#include "metaserver/store/engine_impl.h"

#include <algorithm>

namespace csnap::store {
namespace {

constexpr std::uint64_t run_search_words_max = 65536;  // 4 million chunks, well below a millisecond
constexpr std::uint64_t reap_leaves_max = 512;         // what one step may copy

exception exception_at(btree::cursor &at) {
  const tree_key key = at.key();
  return {chunk_no{key.second()}, snapshot_number{key.third()}, place_at(at.value())};
}

}  // namespace

result<std::optional<exception>> engine::last_exception(volume_id volume, chunk_no chunk) {
  impl_->state->cache.trim();
  auto at =
      impl_->state->exceptions.seek_below(exception_key(volume, chunk, snapshot_number{~std::uint64_t{0}}));
  if (!at) return at.error();
  std::optional<exception> found;
  if (!at->at_end() && at->key().first() == volume.value && at->key().second() == chunk.value)
    found = exception_at(*at);
  return found;
}

result<std::optional<exception>> engine::find_exception(volume_id volume, chunk_no chunk,
                                                        snapshot_number number) {
  impl_->state->cache.trim();
  auto at = impl_->state->exceptions.seek(exception_key(volume, chunk, number));
  if (!at) return at.error();
  std::optional<exception> found;
  if (!at->at_end() && at->key().first() == volume.value && at->key().second() == chunk.value)
    found = exception_at(*at);
  return found;
}

result<std::vector<exception>> engine::list_exceptions(volume_id volume, chunk_no first, chunk_no end,
                                                       std::size_t limit, chunk_no *resume) {
  impl_->state->cache.trim();
  std::vector<exception> listed;
  if (resume != nullptr) *resume = end;
  auto at = impl_->state->exceptions.seek(exception_key(volume, first, snapshot_number{}));
  if (!at) return at.error();
  const tree_key stop = exception_key(volume, end, snapshot_number{});
  std::size_t chunk_begin = 0;  // where the newest chunk's exceptions begin in `listed`
  while (!at->at_end() && at->key() < stop) {
    const exception e = exception_at(*at);
    if (listed.empty() || listed.back().chunk != e.chunk) chunk_begin = listed.size();
    if (listed.size() >= std::max<std::size_t>(limit, 1) && chunk_begin > 0) {
      // Cut before the chunk that is not complete.
      listed.resize(chunk_begin);
      if (resume != nullptr) *resume = e.chunk;
      return listed;
    }
    listed.push_back(e);
    if (auto done = at->next(); !done) return done.error();
  }
  return listed;
}

// Leaves are counted as well: a step must not copy more pages than may be free.
result<reap_span> engine::plan_reap(volume_id volume, chunk_no first, std::size_t limit) {
  impl_->state->cache.trim();
  reap_span span;
  auto at = impl_->state->exceptions.seek(exception_key(volume, first, snapshot_number{}));
  if (!at) return at.error();
  const std::uint64_t leaves_max =
      std::clamp<std::uint64_t>(impl_->pages_per_message() / 4, 1, reap_leaves_max);
  std::uint64_t leaves = 1;
  std::optional<chunk_no> chunk;
  while (!at->at_end() && at->key().first() == volume.value) {
    const chunk_no here{at->key().second()};
    if (here != chunk && chunk && (span.examined >= limit || leaves > leaves_max)) {
      span.end = here;
      return span;
    }
    chunk = here;
    ++span.examined;
    const bool leaf_ends = at->is_last_of_leaf();
    if (auto done = at->next(); !done) return done.error();
    if (leaf_ends) ++leaves;
  }
  span.end_of_volume = true;
  span.end = chunk_no{(chunk ? *chunk : first).value + 1};
  return span;
}

result<std::pair<store_chunk, std::uint32_t>> engine::find_free_chunks(std::uint32_t wanted) const {
  const store_state &s = *impl_->state;
  if (chunks_free_now() == 0) return fail(errc::no_space, "the snapshot store is full");
  const std::uint64_t count = s.chunks.unit_count();
  const std::uint64_t want = std::clamp<std::uint64_t>(wanted, 1, reservation_chunks_max);
  const std::uint64_t start = s.chunk_search_start < count ? s.chunk_search_start : 0;
  auto best = s.chunks.find_run(start, count, want, run_search_words_max);
  if (best.count < want) {
    const auto wrapped = s.chunks.find_run(0, count, want, run_search_words_max);
    if (wrapped.count > best.count) best = wrapped;
  }
  check(best.count > 0, "free chunks that no search finds");
  return std::pair(store_chunk{best.first}, static_cast<std::uint32_t>(best.count));
}

}  // namespace csnap::store
