// SPDX-License-Identifier: BSD-3-Clause
//
// Which chunks of a volume are known to be unshared in the current epoch: one bit for each, in regions that
// are allocated when first touched. A region is what one unshared_query covers. A bit that is not set means
// "shared, or not known": the chunk is then copied, which is never wrong.
#pragma once

#include "metaserver/base/ids.h"
#include "metaserver/wire/protocol_limits.h"

#include <array>
#include <memory>
#include <string_view>
#include <unordered_map>

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

  void reset(knowledge k);
  void set_all() { all_ = true; }
  bool all_set(chunk_no first, std::uint64_t count) const;
  bool is_set(chunk_no chunk) const;
  void set(chunk_no chunk);

  // Whether an unset bit of this region means anything.
  bool is_known(std::uint64_t region) const;
  bool is_asked(std::uint64_t region) const;
  void asked(std::uint64_t region);
  // The answer: bit i of byte i / 8, low bit first. Bits that were set meanwhile stay.
  void learn(std::uint64_t region, std::string_view bits);
  // No answer will come.
  void forget_asked();

 private:
  static constexpr std::size_t words = region_chunks / 64;
  struct region {
    bool known{}, asked{};
    std::unique_ptr<std::array<std::uint64_t, words>> bits;
  };
  const std::uint64_t *words_of(std::uint64_t region) const;
  region &touch(std::uint64_t number);

  bool all_ = false;
  bool known_by_default_ = false;
  std::unordered_map<std::uint64_t, region> regions_;
};

}  // namespace csnap::client
