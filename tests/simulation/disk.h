// SPDX-License-Identifier: BSD-3-Clause
//
// A disk that several hosts share, and a process's way to it. A write becomes visible when it lands, which may
// be long after it was sent and after its sender died; it survives a power cut when it was flushed. What a
// dead process had in flight lands or does not; until that is settled the process is not gone.
#pragma once

#include "metaserver/base/block_device.h"
#include "metaserver/device/flush_queue.h"
#include "tests/simulation/disk_image.h"
#include "tests/simulation/world.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace csnap::simulation {

struct disk_habits {
  nanoseconds latency_min = 20 * microsecond, latency_max = 300 * microsecond;
  unsigned slow_per_mille = 0;  // operations that take up to slow_max
  nanoseconds slow_max = 0;
  bool outlives_process = false;  // what was sent lands though the sender is gone: nbd://
  bool trim_zeroes = true;
  bool early_reads = false;  // half of the reads give what was there when they began
};

// Of 10,000 operations each. Off when the world heals.
struct disk_faults {
  unsigned read_errors = 0, write_errors = 0, flush_errors = 0;
  bool no_new_blocks = false;      // thinly provisioned and full: a write to a fresh place fails
  unsigned stale_reads = 0;        // of whole 4 KiB blocks that were written more than once
  unsigned misdirected_reads = 0;  // of whole blocks: another block's content
  std::uint64_t wrong_from = 0;    // both only of blocks from here ...
  std::uint64_t wrong_until = 0;   // ... to here: they must be of those with checksums
  unsigned stray_writes = 0;       // one block of the write is lost, or lands elsewhere
  std::uint64_t stray_from = 0;    // only at and above this offset, whence and whither
};

// Planted: a disk that breaks its contract.
struct disk_lies {
  bool flush_does_nothing = false, fua_ignored = false, drops_writes = false, misdirects = false;
  bool stale_reads = false, acknowledges_early = false, flush_errors_hidden = false;
  bool flush_failures_forgotten = false;  // not the disk's: a flush is tried again as if none had failed
};

class disk {
 public:
  disk(world &w, std::string name, disk_image content, disk_habits habits);
  disk(const disk &) = delete;
  disk &operator=(const disk &) = delete;

  disk_image image;
  disk_habits habits;
  disk_faults faults;
  disk_lies lies;

  disk_image::cut_result power_cut();
  // Once, when the n-th write from now on has landed.
  void after_writes(std::uint64_t n, std::function<void()> what) {
    writes_until_ = n, then_ = std::move(what);
  }
  // Since the last power cut a flush failed, and what it should have made durable is still read, until the next one.
  bool has_lost_writes() const { return has_lost_writes_; }
  const std::string &name() const { return name_; }
  // For the checkers: this block was to become what it did not become, or was not to change.
  std::function<void(std::uint64_t block, std::vector<std::byte> wanted)> on_stray;
  // For the checkers: writes and flushes that returned an error to this process.
  struct counters {
    std::uint64_t reads = 0, writes = 0, flushes = 0, errors = 0, late_landings = 0;
  } count;

 private:
  friend class device;
  struct operation {
    process *sender{};
    fiber *waiter{};
    std::uint64_t offset{};
    std::vector<std::byte> bytes;
    bool is_write{}, durable{}, fails{}, done{};
    std::uint64_t mark{};
    std::span<std::byte> into;
    bool is_settled = false;
  };
  using operation_ptr = std::shared_ptr<operation>;
  nanoseconds some_latency();
  bool happens(unsigned per_ten_thousand) {
    return per_ten_thousand > 0 && chance_.below(10000) < per_ten_thousand;
  }
  void begin(const operation_ptr &op, std::function<void()> lands);
  void settle(const operation_ptr &op);
  void land_write(const operation_ptr &op, std::size_t from, std::size_t to);
  void take_read(const operation_ptr &op);
  bool goes_astray(const operation_ptr &op, std::size_t from, std::size_t to);

  world &world_;
  const std::string name_;
  prng chance_;
  std::vector<operation_ptr> in_flight_;
  std::uint64_t flush_failures_ = 0;
  bool has_lost_writes_ = false;
  std::uint64_t writes_until_ = 0;
  std::function<void()> then_;
  std::uint64_t power_cuts_ = 0;
};

class device final : public block_device {
 public:
  device(disk &where, process &owner)
      : disk_(where),
        owner_(owner),
        size_bytes_(where.image.size_bytes()),
        seen_failures_(where.flush_failures_) {}
  std::uint64_t size_bytes() const override { return size_bytes_; }
  result<> measure() override {
    size_bytes_ = disk_.image.size_bytes();
    return {};
  }
  result<> read(std::uint64_t offset, std::span<std::byte> into) override;
  result<> write(std::uint64_t offset, std::span<const std::byte> from, durability how) override;
  result<> zero(std::uint64_t offset, std::uint64_t length, bool may_unmap, durability how) override;
  result<> trim(std::uint64_t offset, std::uint64_t length) override;
  result<> flush() override;
  // When the first write, or flush, of this process returned an error; -1: none did.
  nanoseconds first_write_failure = -1, first_flush_failure = -1;

 private:
  result<> bounds(std::uint64_t offset, std::uint64_t length) const;
  result<> failed(const char *what);
  result<> flush_once();
  disk &disk_;
  process &owner_;
  std::uint64_t size_bytes_;
  std::uint64_t seen_failures_;
  flush_queue flushes_;  // production's: a failure is for good
};

}  // namespace csnap::simulation
