// SPDX-License-Identifier: BSD-3-Clause
//
// Where the chunks of open snapshots are, in segments of one volume, fetched from the server. Holding any map
// of a segment is holding the delegation of that segment: a chunk said to be in the origin stays there until
// a recall says otherwise. Answers come in order on a connection, so a map that came before a recall is
// patched by it, and one that comes after was computed after. Bounded: the segments not used for longest are
// dropped, for all snapshots at once, since the delegation is the segment's.
#pragma once

#include "metaserver/client/client_machine.h"

#include <array>
#include <list>
#include <map>
#include <unordered_map>

namespace csnap::client {

class segment_cache {
 public:
  // Places are stored in 8 bytes: a chunk number or one of these.
  static constexpr std::uint64_t place_zero = ~std::uint64_t{0};
  static constexpr std::uint64_t place_origin = ~std::uint64_t{0} - 1;
  static constexpr std::uint64_t place_unknown = ~std::uint64_t{0} - 2;
  using places = std::array<std::uint64_t, wire::segment_chunks>;

  segment_cache(std::size_t bytes_max, std::size_t maps_min);

  // The map, and it counts as used now; nullptr: not here.
  const places *use(volume_id volume, snapshot_number number, std::uint64_t segment);
  const places *peek(volume_id volume, snapshot_number number, std::uint64_t segment) const;
  // False if it is being fetched already. Else counts as being fetched until fetched() or not_fetched().
  bool fetch(volume_id volume, snapshot_number number, std::uint64_t segment);
  void fetched(volume_id volume, snapshot_number number, std::uint64_t segment, const places &where);
  void not_fetched(volume_id volume, snapshot_number number, std::uint64_t segment);
  void recall(volume_id volume, const wire::recall_entry &e);
  // The snapshot is closed or gone. The delegations stay until dropped or recalled: other snapshots use them.
  void forget(volume_id volume, snapshot_number number);
  // What must go to stay within bounds; the server is to be told. Never a segment of which a map is being
  // fetched: that answer would make the session a holder again, though the server saw the drop last.
  std::vector<wire::drop> evict();

  void clear();
  std::size_t map_count() const { return map_count_; }

 private:
  using key = std::pair<volume_id, std::uint64_t>;
  struct key_hash {
    std::size_t operator()(const key &k) const noexcept {
      return static_cast<std::size_t>((k.second * 256 + k.first.value) * 0x9e3779b97f4a7c15u);
    }
  };
  struct segment_map {
    std::unique_ptr<places> where;
    bool fetching = false;
  };
  struct group {
    std::map<snapshot_number, segment_map> maps;
    unsigned fetching = 0;
    std::list<key>::iterator age;
  };
  group &touch(const key &k);
  void end_fetching(const key &k, snapshot_number number);

  const std::size_t maps_max_;
  std::size_t map_count_ = 0;  // with places
  std::list<key> by_age_;      // newest first
  std::unordered_map<key, group, key_hash> groups_;
};

}  // namespace csnap::client
