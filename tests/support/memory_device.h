// SPDX-License-Identifier: BSD-3-Clause
//
// A block device in memory with a volatile cache: what was written counts as durable only after flush() or
// with FUA, and crash() decides sector by sector what of the rest survives. Faults on demand. One thread.
#pragma once

#include "metaserver/base/block_device.h"

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <random>
#include <vector>

namespace csnap::test {

inline constexpr std::uint64_t sector_bytes = 512;

class memory_device : public block_device {
 public:
  explicit memory_device(std::uint64_t size_bytes) : durable_(size_bytes), current_(size_bytes) {}

  std::uint64_t size_bytes() const override { return current_.size(); }
  result<> read(std::uint64_t offset_bytes, std::span<std::byte> into) override;
  result<> write(std::uint64_t offset_bytes, std::span<const std::byte> from, durability how) override;
  result<> zero(std::uint64_t offset_bytes, std::uint64_t length_bytes, bool may_unmap,
                durability how) override;
  result<> trim(std::uint64_t offset_bytes, std::uint64_t length_bytes) override;
  result<> flush() override;

  // Power cut: each sector with unflushed writes becomes any of its versions since the last flush (the
  // durable one, or that of any later write, whatever became of its neighbours), or torn: the first half of
  // one version and the second half of another.
  void crash(std::mt19937_64 &random);
  // The process dies, the device lives on: nothing is lost.
  void settle() { make_durable(); }

  void enlarge(std::uint64_t bytes) {
    durable_.resize(durable_.size() + bytes);
    current_.resize(current_.size() + bytes);
  }

  // The n-th call from now on (1: the next) fails with errc::io; a failed write leaves torn sectors, a
  // failed flush loses everything since the last good one.
  enum class operation { read, write, flush };
  void fail_nth(operation which, std::uint64_t n) { faults_[which] = n; }

  // Stops the world: after `n` more writes (each FUA or cached write or zero counts, flushes do not), every
  // call fails. The write that would be one too many does not reach the device at all.
  void stop_after_writes(std::uint64_t n) { writes_left_ = n; }
  bool stopped() const { return stopped_; }
  void restart() { stopped_ = false, writes_left_.reset(), faults_.clear(); }

  std::uint64_t reads() const { return reads_; }
  std::uint64_t writes() const { return writes_; }
  std::uint64_t flushes() const { return flushes_; }

  struct recorded_write {
    std::uint64_t offset_bytes{};
    std::vector<std::byte> bytes;
    durability how{};
  };
  void start_recording() { recording_.emplace(); }
  const std::vector<recorded_write> &recorded() const { return *recording_; }

  // For tests that damage bytes: changes what is durable and what is read.
  void overwrite(std::uint64_t offset_bytes, std::span<const std::byte> bytes);
  std::span<const std::byte> content() const { return current_; }

 private:
  using sector = std::vector<std::byte>;
  result<> in_bounds(std::uint64_t offset_bytes, std::uint64_t length_bytes) const;
  bool is_due(operation which);
  void note_versions(std::uint64_t offset_bytes, std::uint64_t length_bytes);
  void make_durable();
  void make_range_durable(std::uint64_t offset_bytes, std::uint64_t length_bytes);

  std::vector<std::byte> durable_, current_;
  std::map<std::uint64_t, std::vector<sector>> unflushed_;  // sector -> its versions, oldest first
  std::map<operation, std::uint64_t> faults_;
  std::optional<std::uint64_t> writes_left_;
  bool stopped_ = false;
  std::uint64_t reads_ = 0, writes_ = 0, flushes_ = 0;
  std::optional<std::vector<recorded_write>> recording_;
};

}  // namespace csnap::test
