// SPDX-License-Identifier: BSD-3-Clause
//
// Writes to an origin volume, whichever kind (data, zeroes, trim): allowed only where every chunk touched is
// unshared, so shared ones are copied out first. Works in pieces of a bounded number of chunks, each a write
// of its own in ascending order, so that a 4 GiB trim needs little memory and ends promptly when nbdkit does.
// Reads of an origin need none of this: they go straight to the device. Thread-safe.
#pragma once

#include "metaserver/base/block_device.h"
#include "nbdkit-plugin/copy_out.h"
#include "nbdkit-plugin/volume_client.h"

#include <functional>
#include <memory>
#include <utility>

namespace csnap::plugin {

class origin_io {
 public:
  origin_io(volume_id volume, block_device &device, std::uint32_t chunk_bytes, copy_out &copies,
            volume_client &client, std::shared_ptr<client::write_pass> pass, planted_mistakes planted = {})
      : volume_(volume),
        chunk_bytes_(chunk_bytes),
        device_(device),
        copies_(copies),
        client_(client),
        pass_(std::move(pass)),
        planted_(planted) {}

  // Errors: those of the device, of copy_out::run() and of volume_client; gone: the session may not write the
  // volume any more.
  result<> write(std::uint64_t offset_bytes, std::span<const std::byte> from, durability how);
  result<> zero(std::uint64_t offset_bytes, std::uint64_t length_bytes, bool may_unmap, durability how);
  result<> trim(std::uint64_t offset_bytes, std::uint64_t length_bytes, durability how);

 private:
  static constexpr std::uint64_t piece_chunks = 64;
  static constexpr int rounds_together = 3;  // then chunk by chunk: barriers cannot starve a write

  using device_write = std::function<result<>(std::uint64_t offset, std::uint64_t length)>;
  result<> in_pieces(std::uint64_t offset, std::uint64_t length, std::uint64_t chunks_at_once,
                     const device_write &op);
  result<> one_piece(std::uint64_t offset, std::uint64_t length, const device_write &op);
  std::uint64_t chunk_end(std::uint64_t offset, std::uint64_t chunks) const {
    return (offset / chunk_bytes_ + chunks) * chunk_bytes_;
  }

  const volume_id volume_;
  const std::uint32_t chunk_bytes_;
  block_device &device_;
  copy_out &copies_;
  volume_client &client_;
  const std::shared_ptr<client::write_pass> pass_;
  const planted_mistakes planted_;
};

}  // namespace csnap::plugin
