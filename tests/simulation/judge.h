// SPDX-License-Identifier: BSD-3-Clause
//
// What must be true, and what has been seen. Nodes, tools and servers report to it; the first thing that is
// wrong ends the run. Checkers by name:
//   frozen      a snapshot reads what its origin held when its epoch began, for ever          I1, I2
//   register    origin sectors are linearizable over all nodes                                I4
//   durable     what was flushed survives a power cut                                         I3
//   catalog     each create, delete and rename has one effect, a failed one none              I10
//   difference  a difference holds every chunk that changed
//   refused     no operation fails without a reason
//   fail-stop   after a failed write or flush nothing more is said that rests on it           I15
//   accounting  the offline check of the metadata finds nothing                               I5, I6
//   leak        what is deleted becomes free
//   audit       what is said of a place is what the next master would say                     rule 1
//   detected    damaged metadata is reported or harmless, never believed                      I12
//   given up    only what may be given up for room is, and in the order that was said                I18
//   alive       when the faults are over everything that was begun ends
//   check       a check() of the code itself
#pragma once

#include "metaserver/wire/messages.h"
#include "tests/simulation/sector_history.h"

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace csnap::simulation {

class judge {
 public:
  judge(world &w, std::vector<const disk_image *> origins, std::uint64_t sectors, std::uint32_t chunk_bytes);

  void wrong(const std::string &checker, const std::string &text);
  bool failed() const { return !checker_.empty(); }
  const std::string &checker() const { return checker_; }
  const std::string &text() const { return text_; }

  sector_history &history(std::uint32_t volume) { return *histories_[volume - 1]; }
  // Bytes that a snapshot read gave.
  void snapshot_read(volume_id volume, snapshot_number number, std::uint64_t offset,
                     std::span<const std::byte> bytes);
  bool chunk_is_zero(volume_id volume, snapshot_number number, std::uint64_t chunk) const;
  bool chunk_differs(volume_id volume, snapshot_number older, snapshot_number newer,
                     std::uint64_t chunk) const;
  // Whatever a server says: the first word of an epoch fixes what its snapshot must read.
  void server_says(const wire::envelope &what);
  void snapshot_is_known(volume_id volume, snapshot_number number);
  void power_cut(nanoseconds now);

  // ---- the catalog: every name is made once ----
  enum class existence : std::uint8_t { no, yes, unknown };
  struct known_snapshot {
    existence exists = existence::unknown;
    snapshot_number number;  // 0: not known
    bool busy = false;       // an operation on it is under way
    bool is_going = false;   // deleting has begun at some time
    enum class held : std::uint8_t { no, yes, unknown } is_held = held::no;
    bool may_be_given_up = false;  // once a volume's origin came first and this was not surely held
  };
  std::map<std::pair<std::uint32_t, std::string>, known_snapshot> names;
  void listed(const std::vector<wire::snapshot_entry> &all);
  bool may_be_gone(volume_id volume, snapshot_number number) const;
  // What a volume does when the store is full, as far as it is known: all that it may be.
  std::map<std::uint32_t, std::set<full_policy>> policies;
  std::uint64_t policy_changes = 0;  // asked for so far
  bool surely_waits_for_room(volume_id volume) const;
  // After anything that was said about policies, holds and snapshots, and before it is asked for.
  void note_what_may_be_given_up();

  struct counters {
    std::uint64_t reads = 0, writes = 0, snapshot_reads = 0, snapshots = 0, removed = 0, renamed = 0,
                  diffs = 0;
  } count;

 private:
  struct truth {
    disk_image content;
    std::uint64_t nonce;
  };
  void capture(volume_id volume, const epoch_id &epoch);

  world &world_;
  const std::vector<const disk_image *> origins_;
  const std::uint32_t chunk_bytes_;
  std::vector<std::unique_ptr<sector_history>> histories_;
  std::map<std::pair<std::uint32_t, std::uint64_t>, truth> truths_;
  std::string checker_, text_;
};

}  // namespace csnap::simulation
