// SPDX-License-Identifier: BSD-3-Clause
#include "tests/unit/store/offline_sample.h"

#include "metaserver/store/disk_format.h"

namespace csnap::test {

using namespace store;

TEST_CASE("format plan: the regions follow each other without overlap and fill the device") {
  for (const std::uint64_t size : {16ull << 20, (100ull << 20) + 12345, 1ull << 40})
    for (const std::uint32_t chunk : {4096u, 65536u}) {
      auto request = sample_request();
      request.chunk_bytes = chunk;
      const auto g = plan_geometry(request, size, std::nullopt);
      INFO(size << " " << chunk << " " << (g ? "" : g.error().text));
      REQUIRE(g);
      CHECK(g->slots_offset_bytes == 2 * block_bytes);
      CHECK(g->logs_offset_bytes >= g->slots_offset_bytes + g->node_count * 4 * block_bytes);
      CHECK(g->pages_offset_bytes >= g->logs_offset_bytes + g->node_count * g->log_blocks * block_bytes);
      CHECK(g->page_count % area_count == 0);
      CHECK(g->page_count * block_bytes >= (4u << 20) + g->chunk_count * 160 - chunk);
      CHECK(g->chunks_offset_bytes % chunk == 0);
      CHECK(g->chunks_offset_bytes >= g->pages_offset_bytes + g->page_count * block_bytes);
      const std::uint64_t end = g->chunks_offset_bytes + g->chunk_count * chunk;
      CHECK(end <= size);
      CHECK(size - end < chunk);
    }
}

TEST_CASE("format plan: a store that is too small is refused with the size that is enough") {
  for (const std::uint32_t chunk : {4096u, 65536u, 1u << 20}) {
    auto request = sample_request();
    request.chunk_bytes = chunk;
    const auto refused = plan_geometry(request, 1 << 20, std::nullopt);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == errc::invalid);
    const auto at = refused.error().text.find("needs ");
    REQUIRE(at != std::string::npos);
    const std::uint64_t needed = std::stoull(refused.error().text.substr(at + 6));
    CHECK(plan_geometry(request, needed, std::nullopt));
    CHECK_FALSE(plan_geometry(request, needed - 1, std::nullopt));
  }
  CHECK(plan_geometry(sample_request(), 100 << 20, 8 << 20));
  CHECK_FALSE(plan_geometry(sample_request(), 100 << 20, 1 << 20));
  CHECK_FALSE(plan_geometry(sample_request(), 1 << 20, 8 << 20));
}

TEST_CASE("format plan: nonsense is refused") {
  const auto refused = [](auto change) {
    auto request = sample_request();
    change(request);
    return !plan_geometry(request, 100 << 20, std::nullopt);
  };
  CHECK_FALSE(refused([](auto &) {}));
  CHECK(refused([](auto &r) { r.chunk_bytes = 2048; }));
  CHECK(refused([](auto &r) { r.chunk_bytes = 65536 + 4096; }));
  CHECK(refused([](auto &r) { r.chunk_bytes = 2 << 20; }));
  CHECK(refused([](auto &r) { r.node_count = 0; }));
  CHECK(refused([](auto &r) { r.node_count = 65; }));
  CHECK(refused([](auto &r) { r.origins[0].name = "a..b"; }));
  CHECK(refused([](auto &r) { r.origins[1].name = r.origins[0].name; }));
  CHECK(refused([](auto &r) { r.origins[0].size_bytes = 0; }));
  CHECK(refused([](auto &r) { r.origins[0].device = std::string(300, 'x'); }));
  CHECK(refused([](auto &r) { r.values.lease_ms = 0; }));
}

TEST_CASE("format: the store has its label, its volumes and settings, and checks clean") {
  auto device = formatted_sample();
  const auto found = read_label(*device);
  REQUIRE(found);
  CHECK(found->role == device_role::combined);
  CHECK(found->shape == *plan_geometry(sample_request(), sample_bytes, std::nullopt));
  const auto report = check_store(*device);
  for (const auto &line : report.errors) UNSCOPED_INFO(line);
  CHECK(report.ok());
  CHECK(report.notes.empty());
  CHECK(report.volumes == 2);
  CHECK(report.chunks_free == found->shape.chunk_count);
  const auto e = engine::open_read_only(*device, 1 << 20);
  REQUIRE(e);
  const auto *disk = (*e)->find_volume("disk");
  REQUIRE(disk);
  CHECK(disk->id == volume_id{1});
  CHECK(disk->device == "/dev/origin");
  CHECK(disk->size_bytes == 1u << 30);
  CHECK((*e)->current_settings() == sample_request().values);
  CHECK(read_master(*device, found->shape)->term.counter >= 1);
}

TEST_CASE("format: many origins") {
  sample_device device(64 << 20);
  auto request = sample_request();
  request.origins.clear();
  for (int i = 0; i < 1000; ++i)
    request.origins.push_back({"v" + std::to_string(i), std::string(200, 'd'), 4096});
  REQUIRE(format_store(device, nullptr, request));
  CHECK(check_store(device).volumes == 1000);
  CHECK(check_store(device).ok());
}

TEST_CASE("format: separate metadata leaves a label on both devices") {
  sample_device data(8 << 20), metadata(8 << 20);
  REQUIRE(format_store(data, &metadata, sample_request()));
  CHECK(read_label(data)->role == device_role::data);
  CHECK(read_label(metadata)->role == device_role::metadata);
  CHECK(read_label(data)->shape == read_label(metadata)->shape);
  CHECK(check_store(metadata).ok());
  CHECK_FALSE(check_store(data).ok());
  CHECK(dump_store(data, [](auto) {}).error().code == errc::invalid);
  CHECK(engine::take_over(data, {}).error().code == errc::invalid);
}

TEST_CASE("format: stopped after any write it leaves the old store, an interrupted one, or the new one") {
  const auto old_store = formatted_sample();
  sample_device counted(sample_bytes);
  counted.content = old_store->content;
  REQUIRE(format_store(counted, nullptr, sample_request(9)));
  unsigned seen_old = 0, seen_interrupted = 0, seen_new = 0;
  for (std::uint64_t stop = 0; stop <= counted.writes; ++stop) {
    sample_device device(sample_bytes);
    device.content = old_store->content;
    device.fail_after = stop;
    CHECK(format_store(device, nullptr, sample_request(9)).has_value() == (stop == counted.writes));
    device.fail_after = ~std::uint64_t{0};
    const auto found = read_label(device);
    if (!found) {
      CHECK(found.error().text.find("interrupted") != std::string::npos);
      CHECK_FALSE(engine::take_over(device, {}));
      ++seen_interrupted;
      CHECK(format_store(device, nullptr, sample_request(9)));
      CHECK(check_store(device).ok());
      continue;
    }
    // A torn copy of the superblock is reported; whatever else there is must be whole.
    const auto report = check_store(device);
    for (const auto &line : report.errors) CHECK(line.find("superblock") != std::string::npos);
    CHECK(report.volumes == 2);
    ++(found->shape.store.bytes[0] == std::byte{9} ? seen_new : seen_old);
  }
  CHECK(seen_old >= 1);
  CHECK(seen_interrupted >= 10);
  CHECK(seen_new >= 1);
}

TEST_CASE("label: what is no store says so, and a damaged primary is covered by its copy") {
  sample_device empty(1 << 20);
  CHECK(read_label(empty).error().code == errc::not_found);
  sample_device tiny(100);
  CHECK(read_label(tiny).error().code == errc::not_found);

  auto device = formatted_sample();
  const auto before = read_label(*device);
  device->content[100] ^= std::byte{1};
  REQUIRE(read_label(*device));
  CHECK(read_label(*device)->shape == before->shape);
  CHECK_FALSE(check_store(*device).ok());
  std::fill_n(device->content.begin(), block_bytes, std::byte{0});
  REQUIRE(read_label(*device));
  device->content[block_bytes + 100] ^= std::byte{1};
  CHECK(read_label(*device).error().code == errc::corrupt);

  auto cut = formatted_sample();
  cut->content.resize(cut->content.size() / 2);
  CHECK(read_label(*cut).error().code == errc::corrupt);
}

}  // namespace csnap::test
