// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/client/segment_cache.h"

#include "metaserver/base/check.h"

#include <algorithm>

namespace csnap::client {

namespace {
// The server bounds the delegations of a session (65536): stay well below whatever cache was asked for.
constexpr std::size_t groups_max = 32768;
constexpr std::size_t map_bytes = sizeof(segment_cache::places) + 128;  // with list, map and hash nodes
}  // namespace

segment_cache::segment_cache(std::size_t bytes_max, std::size_t maps_min)
    : maps_max_(std::max(maps_min, bytes_max / map_bytes)) {}

segment_cache::group &segment_cache::touch(const key &k) {
  const auto [at, is_new] = groups_.try_emplace(k);
  group &g = at->second;
  if (is_new) g.age = by_age_.insert(by_age_.begin(), k);
  else by_age_.splice(by_age_.begin(), by_age_, g.age);
  return g;
}

const segment_cache::places *segment_cache::peek(volume_id volume, snapshot_number number,
                                                 std::uint64_t segment) const {
  const auto g = groups_.find({volume, segment});
  if (g == groups_.end()) return nullptr;
  const auto m = g->second.maps.find(number);
  return m == g->second.maps.end() ? nullptr : m->second.where.get();
}

const segment_cache::places *segment_cache::use(volume_id volume, snapshot_number number,
                                                std::uint64_t segment) {
  const places *found = peek(volume, number, segment);
  if (found != nullptr) touch({volume, segment});
  return found;
}

bool segment_cache::fetch(volume_id volume, snapshot_number number, std::uint64_t segment) {
  group &g = touch({volume, segment});
  segment_map &m = g.maps[number];
  if (m.fetching) return false;
  m.fetching = true;
  ++g.fetching;
  return true;
}

void segment_cache::end_fetching(const key &k, snapshot_number number) {
  const auto g = groups_.find(k);
  if (g == groups_.end()) return;
  const auto m = g->second.maps.find(number);
  if (m == g->second.maps.end() || !m->second.fetching) return;
  m->second.fetching = false;
  --g->second.fetching;
}

void segment_cache::fetched(volume_id volume, snapshot_number number, std::uint64_t segment,
                            const places &where) {
  end_fetching({volume, segment}, number);
  segment_map &m = touch({volume, segment}).maps[number];
  if (!m.where) {
    m.where = std::make_unique<places>();
    ++map_count_;
  }
  *m.where = where;
}

void segment_cache::not_fetched(volume_id volume, snapshot_number number, std::uint64_t segment) {
  end_fetching({volume, segment}, number);
}

void segment_cache::recall(volume_id volume, const wire::recall_entry &e) {
  const auto g = groups_.find({volume, e.chunk.value / wire::segment_chunks});
  if (g == groups_.end()) return;
  auto &maps = g->second.maps;
  for (auto m = maps.begin(); m != maps.end() && m->first <= e.number; ++m) {
    if (!m->second.where) continue;
    std::uint64_t &place = (*m->second.where)[e.chunk.value % wire::segment_chunks];
    if (place == place_origin) place = e.place.is_zero() ? place_zero : e.place.value;
  }
}

void segment_cache::forget(volume_id volume, snapshot_number number) {
  for (auto &[k, g] : groups_) {
    const auto m = k.first == volume ? g.maps.find(number) : g.maps.end();
    if (m == g.maps.end() || !m->second.where) continue;
    m->second.where.reset();
    --map_count_;
    if (!m->second.fetching) g.maps.erase(m);
  }
}

std::vector<wire::drop> segment_cache::evict() {
  std::vector<wire::drop> out;
  const std::size_t segments_max = std::min(maps_max_, groups_max);
  const auto too_much = [&] { return map_count_ > maps_max_ || groups_.size() > segments_max; };
  for (auto at = by_age_.end(); too_much() && at != by_age_.begin();) {
    --at;
    const auto g = groups_.find(*at);
    check(g != groups_.end(), "a segment without a place in the cache");
    if (g->second.fetching > 0) continue;
    map_count_ -=
        static_cast<std::size_t>(std::count_if(g->second.maps.begin(), g->second.maps.end(),
                                               [](const auto &m) { return m.second.where != nullptr; }));
    out.push_back({at->first, chunk_no{at->second * wire::segment_chunks}});
    groups_.erase(g);
    at = by_age_.erase(at);
  }
  return out;
}

void segment_cache::clear() {
  groups_.clear();
  by_age_.clear();
  map_count_ = 0;
}

}  // namespace csnap::client
