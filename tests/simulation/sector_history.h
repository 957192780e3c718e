// SPDX-License-Identifier: BSD-3-Clause
//
// The registers of a volume: every sector's writes and what reads saw, over all nodes. A read must see a write
// that began before the read ended and that no other write has surely overwritten before the read began (I4);
// after a power cut a sector holds no write that is surely older than a durable one (I3).
#pragma once

#include "tests/simulation/sector.h"
#include "tests/simulation/world.h"

#include <limits>
#include <string>
#include <unordered_map>
#include <vector>

namespace csnap::simulation {

class sector_history {
 public:
  sector_history(std::uint32_t volume, std::uint64_t sectors)
      : volume_(volume), sectors_(sectors), torn_(sectors) {}

  struct range {
    std::uint64_t first{}, count{};
  };
  // `id` 0: zeroes. `may_do_nothing`: a trim, or what failed.
  std::uint64_t write_began(range where, write_id id, const void *writer, nanoseconds now);
  void write_ended(std::uint64_t number, bool is_durable, nanoseconds now);
  void write_failed(std::uint64_t number);  // each sector has it or not, from now on or later
  // Empty: right. Else what is wrong.
  std::string read_ended(range where, const std::byte *bytes, nanoseconds began, nanoseconds now);
  // A flush by `writer` that succeeded: its writes that had ended when it began are durable.
  void flushed(const void *writer, nanoseconds began);
  // The content after a power cut; it becomes the only past.
  std::string power_cut(const disk_image &left, nanoseconds now);

  std::uint64_t sectors() const { return sectors_.size(); }
  std::uint64_t reads_checked() const { return reads_checked_; }

 private:
  static constexpr nanoseconds never = std::numeric_limits<nanoseconds>::max();
  struct entry {
    write_id id;
    nanoseconds began, ended;  // `ended`: when it surely had taken effect
    bool durable;
    std::uint64_t number;
  };
  struct operation {
    range where;
    write_id id;
    const void *writer;
    nanoseconds ended;
    bool durable, failed;
  };
  using past = std::vector<entry>;

  const std::uint32_t volume_;
  std::vector<past> sectors_;
  std::vector<bool> torn_;  // after a power cut: any content is right until written
  std::unordered_map<std::uint64_t, operation> operations_;  // not durable yet
  bool had_power_cut_ = false;
  std::uint64_t last_number_ = 0;
  std::uint64_t reads_checked_ = 0;
};

}  // namespace csnap::simulation
