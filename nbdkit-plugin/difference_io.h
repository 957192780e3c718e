// SPDX-License-Identifier: BSD-3-Clause
//
// The block status of a difference export VOL@A..B: which chunks changed from A to B. The difference of two
// snapshots never changes while both exist, so the runs of the last answer are kept; one answer is bounded.
// Thread-safe. The bytes are those of B: see snapshot_io.
#pragma once

#include "nbdkit-plugin/export_extent.h"
#include "nbdkit-plugin/volume_client.h"

#include <mutex>

namespace csnap::plugin {

struct difference_identity {
  volume_id volume;
  snapshot_number older, newer;  // the same: nothing changed
  std::uint64_t size_bytes{};    // of the newer
};

class difference_io {
 public:
  difference_io(difference_identity what, std::uint32_t chunk_bytes, volume_client &client)
      : what_(what), chunk_bytes_(chunk_bytes), client_(client) {}

  // Unchanged: hole (without zero: "look in what you had before"). Changed: data, or zero where that is
  // known. Otherwise as snapshot_io::extents().
  result<std::vector<export_extent>> extents(std::uint64_t offset_bytes, std::uint64_t length_bytes,
                                             bool one);

 private:
  struct window {
    std::uint64_t first{}, next{};     // chunks [first, next) are known
    std::vector<wire::diff_run> runs;  // ascending, within the window
  };
  result<> load(std::uint64_t chunk);
  void append_known(std::vector<export_extent> &list, std::uint64_t offset, std::uint64_t end) const;

  const difference_identity what_;
  const std::uint32_t chunk_bytes_;
  volume_client &client_;
  std::mutex mutex_;
  window known_;
};

}  // namespace csnap::plugin
