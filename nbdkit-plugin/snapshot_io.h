// SPDX-License-Identifier: BSD-3-Clause
//
// Reads of one open snapshot. Each chunk's content lies in the store, where it never changes while the
// snapshot is open, or still in the origin, or is all zero. A read from the origin counts only if nothing
// touched the chunk's place from before the device read until after it; else it is done again. Thread-safe.
#pragma once

#include "metaserver/base/block_device.h"
#include "nbdkit-plugin/chunk_store.h"
#include "nbdkit-plugin/export_extent.h"
#include "nbdkit-plugin/place_hints.h"
#include "nbdkit-plugin/volume_client.h"

namespace csnap::plugin {

struct snapshot_identity {
  volume_id volume;
  snapshot_number number;
  std::uint64_t size_bytes{};
};

class snapshot_io {
 public:
  snapshot_io(snapshot_identity what, block_device &origin, chunk_store &store, volume_client &client)
      : what_(what), chunk_bytes_(store.chunk_bytes()), origin_(origin), store_(store), client_(client) {}

  // The range must lie within the snapshot. Errors: io, corrupt, gone (the snapshot was deleted or
  // sacrificed), and those of volume_client.
  result<> read(std::uint64_t offset_bytes, std::span<std::byte> into);
  // What is known to be zero, from `offset_bytes` on: ascending, without a gap, never beyond the range,
  // perhaps shorter. `one`: a single extent is enough.
  result<std::vector<export_extent>> extents(std::uint64_t offset_bytes, std::uint64_t length_bytes,
                                             bool one);

 private:
  static constexpr std::uint64_t piece_chunks = wire::segment_chunks;  // at most two maps for each piece
  static constexpr int rounds_together = 8;    // then chunk by chunk: copy-outs cannot starve a read
  static constexpr int rounds_one_chunk = 64;  // a chunk moves once; more means that leases keep running out
  static constexpr std::uint64_t extent_pieces_max = 64;

  result<> read_piece(std::uint64_t offset, std::span<std::byte> into);
  // Nothing, if where the chunk lies is not known or did not hold until the end of the read.
  std::optional<result<>> read_hinted(chunk_no chunk, std::uint64_t offset, std::span<std::byte> into);
  result<> read_place(const client::read_place &place, std::uint64_t offset, std::span<std::byte> into);
  result<> read_chunk_by_chunk(std::uint64_t offset, std::span<std::byte> into);
  result<> read_places(const client::read_plan &plan, std::uint64_t offset, std::span<std::byte> into);
  result<client::read_plan> plan(chunk_no first, std::uint64_t count);
  // How many places from `from` on follow one another on one device.
  static std::size_t run_length(const std::vector<client::read_place> &places, std::size_t from);
  std::uint64_t chunks_in(std::uint64_t offset, std::uint64_t length) const {
    return (offset + length - 1) / chunk_bytes_ - offset / chunk_bytes_ + 1;
  }

  const snapshot_identity what_;
  const std::uint32_t chunk_bytes_;
  block_device &origin_;
  chunk_store &store_;
  volume_client &client_;
  place_hints hints_;
};

}  // namespace csnap::plugin
