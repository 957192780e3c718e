// SPDX-License-Identifier: BSD-3-Clause
//
// A small store in memory with one of everything, for the tests of the offline operations.
#pragma once

#include "metaserver/store/engine.h"
#include "metaserver/store/offline.h"

#include <catch2/catch.hpp>

#include <cstring>
#include <memory>
#include <vector>

namespace csnap::test {

// Memory; fails every write from number `fail_after` on, the first of them half done.
class sample_device final : public block_device {
 public:
  explicit sample_device(std::size_t size) : content(size) {}
  std::uint64_t size_bytes() const override { return content.size(); }
  result<> read(std::uint64_t offset, std::span<std::byte> into) override {
    if (offset > content.size() || into.size() > content.size() - offset) return fail(errc::invalid, "range");
    std::memcpy(into.data(), content.data() + offset, into.size());
    return {};
  }
  result<> write(std::uint64_t offset, std::span<const std::byte> from, durability) override {
    if (offset > content.size() || from.size() > content.size() - offset) return fail(errc::invalid, "range");
    if (writes >= fail_after) {
      if (writes == fail_after) std::memcpy(content.data() + offset, from.data(), from.size() / 2);
      ++writes;
      return fail(errc::io, "no power");
    }
    ++writes;
    std::memcpy(content.data() + offset, from.data(), from.size());
    return {};
  }
  result<> zero(std::uint64_t offset, std::uint64_t length, bool, durability how) override {
    return write(offset, std::vector<std::byte>(length), how);
  }
  result<> trim(std::uint64_t, std::uint64_t) override { return {}; }
  result<> flush() override {
    return writes > fail_after ? result<>(fail(errc::io, "no power")) : result<>();
  }

  std::vector<std::byte> content;
  std::uint64_t writes = 0;
  std::uint64_t fail_after = ~std::uint64_t{0};
};

inline constexpr std::size_t sample_bytes = 16u << 20;

inline store::format_request sample_request(std::uint8_t id = 7) {
  store::format_request request;
  request.store.bytes.fill(std::byte{id});
  request.created_unix_ms = 1700000000000;
  request.origins = {{"disk", "/dev/origin", 1u << 30}, {"small", "nbd://host/\"x\"\n", 100000}};
  return request;
}

inline void run_log(store::engine &e, block_device &device) {
  if (auto batch = e.take_log_batch()) {
    REQUIRE(store::run_writes(device, batch->writes, durability::durable));
    e.log_batch_durable();
  }
}

inline void checkpoint_sample(store::engine &e, block_device &device) {
  run_log(e, device);
  auto pages = e.take_checkpoint();
  REQUIRE(pages);
  REQUIRE(store::run_writes(device, pages->writes, durability::durable));
  REQUIRE(store::run_writes(device, e.take_root().writes, durability::durable));
  e.checkpoint_done();
}

// Volume 1 gets snapshots 1 and 2, volume 2 is in the second; 40 exceptions, one of them zero; a session with
// a reservation that is partly used.
inline void fill_sample(store::engine &e) {
  using namespace store;
  const auto append = [&](const record &r) { REQUIRE(e.append(r)); };
  session_info session;
  session.id = session_id{1};
  session.secret.bytes.fill(std::byte{0x5e});
  session.node = "node-a";
  session.lease_ms = 5000;
  append(session_opened{session});
  append(snapshots_created{{}, snapshot_number{1}, 11, 1700000000001, 0, {{volume_id{1}, "one"}}});
  append(chunks_reserved{reservation_id{1}, session_id{1}, store_chunk{3}, 60});
  exceptions_added added{volume_id{1}, snapshot_number{1}, session_id{1}, {}};
  for (std::uint64_t i = 0; i < 39; ++i)
    added.entries.push_back({chunk_no{i * 7}, reservation_id{1}, store_chunk{3 + i}});
  added.entries.push_back({chunk_no{5000}, reservation_id{0}, store_chunk::zero()});
  append(added);
  append(snapshots_created{
      {}, snapshot_number{2}, 12, 1700000000002, -5, {{volume_id{1}, "two"}, {volume_id{2}, "two"}}});
  append(snapshot_deleted{{}, volume_id{1}, snapshot_number{1}});
}

inline std::unique_ptr<sample_device> formatted_sample() {
  auto device = std::make_unique<sample_device>(sample_bytes);
  const auto done = store::format_store(*device, nullptr, sample_request());
  INFO(done);
  REQUIRE(done);
  return device;
}

}  // namespace csnap::test
