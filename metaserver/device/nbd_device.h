// SPDX-License-Identifier: BSD-3-Clause
//
// An NBD export as a device. When the connection is lost, requests in flight fail, and later ones connect
// again; but writes that no flush had covered count as lost, and then no flush succeeds until the device is
// opened again.
#pragma once

#include "metaserver/device/flush_queue.h"
#include "metaserver/device/nbd_connection.h"
#include "metaserver/device/open_device.h"

#include <chrono>
#include <mutex>
#include <string>

namespace csnap {

class nbd_device final : public opened_device {
 public:
  nbd_device(std::string uri, std::shared_ptr<nbd_connection> first)
      : uri_(std::move(uri)), size_bytes_(first->can().size_bytes), current_(std::move(first)) {}

  std::uint64_t size_bytes() const override { return size_bytes_; }
  result<> read(std::uint64_t offset_bytes, std::span<std::byte> into) override;
  result<> write(std::uint64_t offset_bytes, std::span<const std::byte> from, durability how) override;
  result<> zero(std::uint64_t offset_bytes, std::uint64_t length_bytes, bool may_unmap,
                durability how) override;
  result<> trim(std::uint64_t offset_bytes, std::uint64_t length_bytes) override;
  result<> flush() override;
  bool io_ends_with_process() const override { return false; }

 private:
  using connection = std::shared_ptr<nbd_connection>;
  result<connection> connect();
  result<> failed(const char *verb, std::uint64_t offset, int number) const;

  const std::string uri_;
  const std::uint64_t size_bytes_;
  flush_queue flushes_;
  std::mutex mutex_;  // the two below; held while connecting, so that only one thread does
  connection current_;
  std::chrono::steady_clock::time_point retry_after_{};
};

// Errors: as open_device().
result<std::unique_ptr<opened_device>> open_nbd_device(const std::string &uri, open_mode mode);

}  // namespace csnap
