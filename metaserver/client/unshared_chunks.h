// SPDX-License-Identifier: BSD-3-Clause
//
// Which chunks of a volume are known to be unshared in the current epoch: one bit for each, in regions that
// are allocated when first touched. A region is what one unshared_query covers. A bit that is not set means
// "shared, or not known": the chunk is then copied, which is never wrong.
//
// all_set() may be called by any thread at any time; everything else is the client machine's, under its lock.
#pragma once

#include "metaserver/base/ids.h"
#include "metaserver/wire/protocol_limits.h"

#include <array>
#include <atomic>
#include <memory>
#include <string_view>
#include <vector>

namespace csnap::client {

class unshared_chunks {
 public:
  static constexpr std::uint64_t region_chunks = wire::unshared_chunks_max;
  enum class knowledge : std::uint8_t {
    unknown,  // ask the server, region by region
    none,     // a new epoch has just begun: nothing is unshared
    all,      // no snapshot: everything is
  };
  static std::uint64_t region_of(chunk_no chunk) { return chunk.value / region_chunks; }

  explicit unshared_chunks(std::uint64_t chunk_count)
      : regions_((chunk_count + region_chunks - 1) / region_chunks) {}

  void reset(knowledge k);
  void set_all() { all_.store(true, std::memory_order_release); }
  // Chunks [first, first + count), which are within the volume.
  bool all_set(chunk_no first, std::uint64_t count) const;
  bool is_set(chunk_no chunk) const { return all_set(chunk, 1); }
  void set(chunk_no chunk);

  // Whether an unset bit of this region means anything.
  bool is_known(std::uint64_t number) const { return all_ || known_by_default_ || regions_[number].known; }
  bool is_asked(std::uint64_t number) const { return regions_[number].asked; }
  void asked(std::uint64_t number) { regions_[number].asked = true; }
  // The answer: bit i of byte i / 8, low bit first. Bits that were set meanwhile stay.
  void learn(std::uint64_t number, std::string_view bits);
  // No answer will come.
  void forget_asked();

 private:
  using words = std::array<std::atomic<std::uint64_t>, region_chunks / 64>;
  struct region {
    bool known{}, asked{};
    std::unique_ptr<words> owned;
    std::atomic<words *> bits{nullptr};  // what `owned` holds, once it is made; then kept for good
  };
  words &touch(std::uint64_t number);

  std::atomic<bool> all_{false};
  bool known_by_default_ = false;
  std::vector<region> regions_;
};

}  // namespace csnap::client
