// SPDX-License-Identifier: BSD-3-Clause
#include "nbdkit-plugin/chunk_store.h"

namespace csnap::plugin {

result<std::uint64_t> chunk_store::offset_of(store_chunk first, std::uint64_t skip_bytes,
                                             std::uint64_t length) const {
  const std::uint64_t chunks = (skip_bytes + length + chunk_bytes_ - 1) / chunk_bytes_;
  if (first.value >= chunk_count_ || chunks > chunk_count_ - first.value)
    return fail(errc::corrupt, "the server named store chunk " + std::to_string(first.value) +
                                   ", but the store has " + std::to_string(chunk_count_));
  return offset_bytes_ + first.value * chunk_bytes_ + skip_bytes;
}

result<> chunk_store::read(store_chunk first, std::uint64_t skip_bytes, std::span<std::byte> into) {
  const auto offset = offset_of(first, skip_bytes, into.size());
  if (!offset) return offset.error();
  return device_.read(*offset, into);
}

result<> chunk_store::write(store_chunk first, std::span<const std::byte> from) {
  const auto offset = offset_of(first, 0, from.size());
  if (!offset) return offset.error();
  return device_.write(*offset, from, durability::cached);
}

result<> chunk_store::flush() {
  return flushes_.flush([this] { return device_.flush(); });
}

}  // namespace csnap::plugin
