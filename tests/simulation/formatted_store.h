// SPDX-License-Identifier: BSD-3-Clause
//
// Stores as `csnap format` makes them, kept for the runs that want the same one: formatting is most of the
// work of a short run.
#pragma once

#include "metaserver/base/block_device.h"
#include "tests/simulation/disk_image.h"
#include "tests/simulation/options.h"

#include <optional>

namespace csnap::simulation {

struct formatted_store {
  disk_image data;
  std::optional<disk_image> metadata;  // none: on the same device
};
const formatted_store &formatted_store_for(const run_options &o);

// An image as a device that never fails and takes no time: for format, check and dump.
class image_device final : public block_device {
 public:
  explicit image_device(disk_image &image) : image_(image) {}
  std::uint64_t size_bytes() const override { return image_.size_bytes(); }
  result<> read(std::uint64_t offset, std::span<std::byte> into) override;
  result<> write(std::uint64_t offset, std::span<const std::byte> from, durability how) override;
  result<> zero(std::uint64_t offset, std::uint64_t length, bool may_unmap, durability how) override;
  result<> trim(std::uint64_t, std::uint64_t) override { return {}; }
  result<> flush() override;

 private:
  disk_image &image_;
};

}  // namespace csnap::simulation
