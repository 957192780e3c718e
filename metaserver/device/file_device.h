// SPDX-License-Identifier: BSD-3-Clause
//
// A regular file (through the page cache) or a block device (O_DIRECT, since other nodes write it too and our
// page cache would go stale). Of a block device it takes whole aligned blocks only: see aligned_device.
#pragma once

#include "metaserver/device/flush_queue.h"
#include "metaserver/device/open_device.h"

#include <atomic>
#include <string>

namespace csnap {

class file_device final : public opened_device {
 public:
  // Owns both descriptors. `flush_fd` is a second open of the same file: the kernel reports a failed
  // write-back once for each open file, so a durable write cannot take away an error that a flush has to
  // report.
  struct parts {
    std::string name;
    int fd = -1;
    int flush_fd = -1;
    std::uint64_t size_bytes{};  // when it was opened
    bool io_ends_with_process{};
  };
  explicit file_device(parts p) : parts_(std::move(p)), size_bytes_(parts_.size_bytes) {}
  ~file_device() override;
  file_device(const file_device &) = delete;
  file_device &operator=(const file_device &) = delete;

  std::uint64_t size_bytes() const override { return size_bytes_.load(std::memory_order_relaxed); }
  result<> measure() override;
  result<> read(std::uint64_t offset_bytes, std::span<std::byte> into) override;
  result<> write(std::uint64_t offset_bytes, std::span<const std::byte> from, durability how) override;
  result<> zero(std::uint64_t offset_bytes, std::uint64_t length_bytes, bool may_unmap,
                durability how) override;
  result<> trim(std::uint64_t offset_bytes, std::uint64_t length_bytes) override;
  result<> flush() override;
  bool io_ends_with_process() const override { return parts_.io_ends_with_process; }

 private:
  // What the device said it cannot do is not asked again.
  result<bool> try_fallocate(std::atomic<bool> &supported, int mode, std::uint64_t offset,
                             std::uint64_t length);

  const parts parts_;
  std::atomic<std::uint64_t> size_bytes_;
  flush_queue flushes_;
  std::atomic<bool> can_punch_{true};
  std::atomic<bool> can_zero_range_{true};
};

}  // namespace csnap
