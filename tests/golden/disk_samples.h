// SPDX-License-Identifier: BSD-3-Clause
//
// Fixed blocks of every type, made by the encoders that the engine uses.
#pragma once

#include "metaserver/store/disk_format.h"
#include "metaserver/store/records.h"

#include <string>
#include <vector>

namespace csnap::test {

struct disk_sample {
  std::string name;
  store::block_type type;
  std::uint64_t block;  // its number
  std::vector<std::byte> bytes;
};

store::geometry sample_geometry();
std::vector<store::record> sample_records();  // one of each type, in the order of their numbers
std::vector<disk_sample> disk_samples();

// One line for each 16 bytes that are not all zero: offset, bytes, text.
std::string hex_text(std::span<const std::byte> bytes);

}  // namespace csnap::test
