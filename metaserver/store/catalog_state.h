// SPDX-License-Identifier: BSD-3-Clause
//
// The catalog in memory, and its entries as bytes of the catalog tree. Changes note the keys they touch;
// the checkpoint writes those entries to the tree, so a burst of small records costs no page changes.
#pragma once

#include "metaserver/base/byte_reader.h"
#include "metaserver/store/btree.h"
#include "metaserver/store/catalog.h"
#include "metaserver/store/disk_format.h"

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace csnap::store {

inline constexpr std::size_t requests_remembered = 1024;

// The first part of a key in the catalog tree.
enum class catalog_kind : std::uint32_t {
  settings = 1,       // (0, 0)
  volume = 2,         // (id, 0)
  volume_device = 3,  // (id, 0)
  snapshot = 4,       // (volume, number)
  session = 5,        // (id, 0)
  reservation = 6,    // (id, 0)
  request = 7,        // (counter % 1024, 0)
  holds = 8,          // (volume, number)
};

class catalog_state {
 public:
  std::map<volume_id, volume_info> volumes;
  std::map<session_id, session_info> sessions;
  std::map<reservation_id, reservation_info> reservations;
  settings values;
  snapshot_number last_snapshot;
  session_id last_session;
  reservation_id last_reservation;
  std::uint64_t request_counter = 0;
  std::uint64_t chunks_reserved = 0;  // bits set over all reservations

  // What is kept beside a volume's entry.
  struct volume_detail {
    std::map<snapshot_number, snapshot_info> snapshots;
    std::unordered_map<std::string, snapshot_number> live_names;
    std::vector<snapshot_number> sharing;  // of snapshots that count for sharing, ascending
    std::uint64_t exception_count = 0;
  };
  const volume_detail &detail(volume_id volume) const;
  volume_detail &change_detail(volume_id volume) { return details_[volume]; }

  const volume_info *find_volume(std::string_view name) const;
  const snapshot_info *find_snapshot(volume_id volume, std::string_view name) const;
  bool request_done(const unique_id &request) const { return known_requests_.contains(request); }
  std::vector<unique_id> requests_in_order() const;  // those that are remembered, oldest first

  // ---- changes; each keeps the indexes and notes the key ----
  void put_volume(const volume_info &volume);
  void put_snapshot(const snapshot_info &snapshot);
  void remove_snapshot(volume_id volume, snapshot_number number);
  void remember_request(const unique_id &request);  // all zero: none
  void put_reservation(reservation_info reservation);
  void remove_reservation(reservation_id id);
  void note(catalog_kind kind, std::uint64_t id, std::uint64_t sub = 0);

  // ---- the catalog tree ----
  const std::set<tree_key> &changed() const { return changed_; }
  void clear_changed() { changed_.clear(); }
  // The bytes of an entry (catalog_value_bytes), empty when there is no such entry (any more).
  std::vector<std::byte> encode_entry(const tree_key &key) const;
  // Errors: corrupt.
  result<> load_entry(const tree_key &key, std::span<const std::byte> value);

 private:
  result<> load_holds(volume_id volume, snapshot_number number, byte_reader &in);
  result<> load_reservation(reservation_id id, byte_reader &in);

  std::unordered_map<std::string, volume_id> volume_names_;
  std::map<volume_id, volume_detail> details_;
  struct done_request {
    std::uint64_t counter{};
    unique_id id;
  };
  std::map<std::uint64_t, done_request> requests_;  // by counter % 1024
  std::unordered_set<unique_id> known_requests_;
  std::set<tree_key> changed_;
};

}  // namespace csnap::store
