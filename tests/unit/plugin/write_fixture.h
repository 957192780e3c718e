// SPDX-License-Identifier: BSD-3-Clause
//
// One volume with its store and the machinery of a write.
#pragma once

#include "fake_client.h"
#include "nbdkit-plugin/origin_io.h"

namespace csnap::test {

inline wire::welcome layout_of(std::uint64_t chunk_count) {
  wire::welcome layout;
  layout.chunk_bytes = fake_client::chunk_bytes;
  layout.chunk_count = chunk_count;
  return layout;
}

struct write_fixture {
  static constexpr std::uint64_t chunk = fake_client::chunk_bytes;
  static constexpr std::uint64_t store_chunks = 4096;

  explicit write_fixture(std::uint64_t size_bytes, plugin::planted_mistakes planted = {},
                         std::chrono::microseconds delay = {})
      : origin(size_bytes, delay),
        store_device(store_chunks * chunk, delay),
        store(store_device, layout_of(store_chunks)) {
    for (std::uint64_t at = 0; at < size_bytes; at += chunk)
      origin.fill(at, std::min(chunk, size_bytes - at), static_cast<unsigned char>(1 + at / chunk % 255));
    client.emplace(origin, store_device);
    copies.emplace(volume_id{1}, size_bytes, origin, store, *client, planted);
    io.emplace(volume_id{1}, origin, static_cast<std::uint32_t>(chunk), *copies, *client,
               std::make_shared<client::write_pass>((size_bytes + chunk - 1) / chunk), planted);
  }
  static std::vector<std::byte> block(std::uint64_t size, unsigned char value) {
    return std::vector<std::byte>(size, std::byte{value});
  }
  result<> write(std::uint64_t offset, std::uint64_t size, unsigned char value) {
    return io->write(offset, block(size, value), durability::cached);
  }
  // Snapshot `number` still reads what the origin was.
  bool is_intact(std::uint64_t number) { return client->read_snapshot(number) == client->image(number); }

  fake_device origin, store_device;
  plugin::chunk_store store;
  std::optional<fake_client> client;
  std::optional<plugin::copy_out> copies;
  std::optional<plugin::origin_io> io;
};

}  // namespace csnap::test
