// SPDX-License-Identifier: BSD-3-Clause
//
// Which session may read which segment of a volume from the origin without asking: a copy-out in a segment is
// answered only after each of its holders was told (rules 1, 2).
#pragma once

#include "metaserver/base/ids.h"
#include "metaserver/wire/protocol_limits.h"

#include <map>
#include <set>
#include <unordered_map>
#include <vector>

namespace csnap::core {

// What one session may hold: 65536 segments of 256 chunks map 1 TiB in chunks of 64 KiB.
inline constexpr std::size_t delegations_per_session_max = 65536;

class delegation_table {
 public:
  // False when the session holds too many already.
  bool add(session_id session, volume_id volume, chunk_no chunk);
  void drop(session_id session, volume_id volume, chunk_no chunk);
  void drop_all(session_id session);
  const std::set<session_id> &holders(volume_id volume, chunk_no chunk) const;
  std::size_t count(session_id session) const;

 private:
  struct segment {
    volume_id volume;
    std::uint64_t index{};
    friend auto operator<=>(const segment &, const segment &) = default;
  };
  struct segment_hash {
    std::size_t operator()(const segment &s) const {
      return (s.index * 0x9e3779b97f4a7c15u) ^ s.volume.value;
    }
  };
  static segment of(volume_id volume, chunk_no chunk) { return {volume, chunk.value / wire::segment_chunks}; }
  void remove_holder(const segment &s, session_id session);

  std::unordered_map<segment, std::set<session_id>, segment_hash> holders_;
  std::map<session_id, std::set<segment>> held_;
};

}  // namespace csnap::core
