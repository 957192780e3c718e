// SPDX-License-Identifier: BSD-3-Clause
//
// What a connection has open: an origin, a snapshot or a difference. A range that nbdkit hands over lies
// within size_bytes(). Thread-safe.
#pragma once

#include "metaserver/base/block_device.h"
#include "nbdkit-plugin/export_extent.h"

#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace csnap::plugin {

class node;

class open_export {
 public:
  virtual ~open_export() = default;
  open_export() = default;
  open_export(const open_export &) = delete;
  open_export &operator=(const open_export &) = delete;

  virtual std::uint64_t size_bytes() const = 0;
  virtual bool is_writable() const { return false; }
  virtual std::string description() = 0;
  virtual result<> read(std::uint64_t offset_bytes, std::span<std::byte> into) = 0;
  virtual result<std::vector<export_extent>> extents(std::uint64_t offset_bytes, std::uint64_t length_bytes,
                                                     bool one) = 0;
  // Only where is_writable().
  virtual result<> write(std::uint64_t offset_bytes, std::span<const std::byte> from, durability how);
  virtual result<> zero(std::uint64_t offset_bytes, std::uint64_t length_bytes, bool may_unmap,
                        durability how);
  virtual result<> trim(std::uint64_t offset_bytes, std::uint64_t length_bytes, durability how);
  virtual result<> flush() { return {}; }
};

// `name` is the client's word: VOL, VOL@SNAP or VOL@A..B. Errors: invalid or not_found with a line that says
// what is wrong, and those of volume_client.
result<std::unique_ptr<open_export>> open_by_name(node &owner, std::string_view name, bool read_only);

}  // namespace csnap::plugin
