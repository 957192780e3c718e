// SPDX-License-Identifier: BSD-3-Clause
//
// What a disk holds, in sectors of 512 bytes: what is read now, what a power cut leaves, and every version in
// between that is in the cache and not flushed. Blocks are shared until they are written, so copying an image
// costs next to nothing.
#pragma once

#include "tests/simulation/prng.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <vector>

namespace csnap::simulation {

inline constexpr std::size_t sector_bytes = 512;
inline constexpr std::size_t image_block_bytes = 4096;
inline constexpr std::size_t sectors_per_block = image_block_bytes / sector_bytes;

class disk_image {
 public:
  explicit disk_image(std::uint64_t size_bytes);

  std::uint64_t size_bytes() const { return size_bytes_; }
  void enlarge(std::uint64_t to_bytes);
  void read(std::uint64_t offset, std::span<std::byte> into) const;
  // Offset and length in whole sectors. `durable`: this very write survives a power cut.
  void write(std::uint64_t offset, std::span<const std::byte> from, bool durable);
  // Everything written up to `mark` is durable.
  std::uint64_t mark() const { return last_write_; }
  void flush(std::uint64_t mark);
  // What is in the cache will never be durable, and still is what is read: a flush that failed.
  void forget_unflushed();
  // Each sector is its durable version, or any that is not flushed, or a torn one.
  struct cut_result {
    std::uint64_t lost = 0, kept = 0, torn = 0;
  };
  cut_result power_cut(prng &chance, bool may_tear);
  bool has_unflushed() const { return !unflushed_.empty(); }
  bool is_unflushed(std::uint64_t sector) const;

  // A version of a block that it once had; null: none is remembered.
  void remember_versions(std::uint64_t first_block) { remember_from_ = first_block; }
  const std::byte *older_version(std::uint64_t number) const;
  bool was_written(std::uint64_t number) const { return current_[number] != nullptr; }

 private:
  using block = std::array<std::byte, image_block_bytes>;
  using block_ptr = std::shared_ptr<block>;
  struct version {
    std::uint64_t number;
    block_ptr content;  // of the whole block after that write
  };
  block &own(block_ptr &which);
  static const block &content(const block_ptr &which);

  std::uint64_t size_bytes_;
  std::uint64_t last_write_ = 0;
  std::vector<block_ptr> current_, durable_;
  std::map<std::uint64_t, std::vector<version>> unflushed_;
  std::uint64_t remember_from_ = ~std::uint64_t{0};
  std::map<std::uint64_t, block_ptr> older_;
};

}  // namespace csnap::simulation
