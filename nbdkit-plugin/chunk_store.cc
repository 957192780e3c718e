// SPDX-License-Identifier: BSD-3-Clause
#include "nbdkit-plugin/chunk_store.h"

namespace csnap::plugin {

result<std::uint64_t> chunk_store::offset_of(store_chunk first, std::uint64_t skip_bytes,
                                             std::uint64_t length) {
  const auto is_within = [&] {
    const std::uint64_t size = device_.size_bytes();
    const std::uint64_t room = size < offset_bytes_ ? 0 : size - offset_bytes_;
    const std::uint64_t chunks = (skip_bytes + length + chunk_bytes_ - 1) / chunk_bytes_;
    return first.value < room / chunk_bytes_ && chunks <= room / chunk_bytes_ - first.value;
  };
  if (!is_within())  // the server learned that the device was enlarged
    if (auto done = device_.measure(); !done) return done.error();
  if (!is_within())
    return fail(errc::io, "store chunk " + std::to_string(first.value) +
                              " is beyond the end of the store's device, " + "which has " +
                              std::to_string(device_.size_bytes()) + " bytes here");
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
