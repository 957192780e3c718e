// SPDX-License-Identifier: BSD-3-Clause
//
// Stores in which every block is what it says, but what they say is wrong: check names it, and says what it expected.
#include "tests/unit/store/tampered_sample.h"

#include "metaserver/store/block.h"
#include "metaserver/store/page_cache.h"

namespace csnap::test {

using namespace store;

namespace {

using change = std::function<void(store_state &)>;

check_report report_of(const change &what) { return check_store(*tampered_sample(what)); }

// Of volume 1; number 2 is live, number 1 was deleted.
change of_snapshot(std::uint64_t number, const std::function<void(snapshot_info &)> &what) {
  return [number, what](store_state &s) {
    snapshot_info changed = s.catalog.detail(volume_id{1}).snapshots.at(snapshot_number{number});
    what(changed);
    s.catalog.put_snapshot(changed);
    s.catalog.note(catalog_kind::snapshot, 1, changed.number.value);
    s.catalog.note(catalog_kind::holds, 1, changed.number.value);
  };
}

change of_volume(const std::function<void(volume_info &)> &what) {
  return [what](store_state &s) {
    what(s.catalog.volumes.at(volume_id{2}));
    s.catalog.note(catalog_kind::volume, 2);
  };
}

change of_reservation(const std::function<void(reservation_info &)> &what) {
  return [what](store_state &s) {
    what(s.catalog.reservations.at(reservation_id{1}));
    s.catalog.note(catalog_kind::reservation, 1);
  };
}

// A page of a clean store, changed and sealed again.
class page_of {
 public:
  page_of(sample_device &device, block_type type, std::uint64_t number)
      : device_(device), shape_(read_label(device)->shape), bytes_(block_bytes) {
    REQUIRE(device.read(number * block_bytes, bytes_));
    const auto found = open_block(bytes_, type, number, shape_.store);
    REQUIRE(found);
    header = *found;
    const auto payload = payload_of(bytes_, header);
    entries.assign(payload.begin(), payload.end());
  }
  void seal() {
    REQUIRE(device_.write(header.block * block_bytes, seal_block(header, entries), durability::durable));
  }
  block_header header;
  std::vector<std::byte> entries;

 private:
  sample_device &device_;
  const geometry shape_;
  std::vector<std::byte> bytes_;
};

root newest_root(sample_device &device) {
  const auto slots = read_all_slots(device, read_label(device)->shape);
  REQUIRE(slots);
  return newest_root_of(*slots)->newest_root;
}

// Enough exceptions for a tree of two levels.
std::unique_ptr<sample_device> with_two_levels() {
  auto device = tampered_sample([](store_state &s) {
    for (std::uint64_t i = 0; i < 300; ++i) put_exception(s, 6000 + i, 1, store_chunk::zero());
  });
  REQUIRE(check_store(*device).ok());
  return device;
}

constexpr std::size_t inner_bytes = key_bytes + pointer_bytes;
constexpr std::size_t leaf_bytes = key_bytes + exception_value_bytes;

}  // namespace

TEST_CASE("check: what a catalog says wrongly is found") {
  CHECK(finds(report_of(of_volume([](volume_info &v) { v.name = "a/b"; })),
              "volume 2: name: expected a valid one"));
  CHECK(finds(report_of(of_volume([](volume_info &v) { v.name = "disk"; })),
              "volume 2: name: expected one that no other"));
  CHECK(finds(report_of(of_snapshot(2, [](snapshot_info &s) { s.name = ""; })),
              "snapshot 2: name: expected a valid one"));
  CHECK(finds(report_of(of_snapshot(2, [](snapshot_info &s) { s.holds = {"no good"}; })),
              "hold: expected a valid tag"));
  CHECK(
      finds(report_of(of_snapshot(1, [](snapshot_info &s) { s.holds = {"kept"}; })), "holds: expected none"));
  CHECK(finds(report_of(of_snapshot(2, [](snapshot_info &s) { s.number = snapshot_number{3}; })),
              "snapshot 3: number"));
  CHECK(finds(report_of(of_snapshot(1,
                                    [](snapshot_info &s) {
                                      s.state = snapshot_state::live;
                                      s.name = "two";
                                    })),
              "name: expected one that no other live snapshot has"));
  CHECK(finds(report_of([](store_state &s) { s.catalog.last_session = session_id{}; }), "session 1: id"));
  CHECK(finds(report_of([](store_state &s) { s.catalog.last_reservation = reservation_id{}; }),
              "reservation 1: id"));
  CHECK(finds(report_of(of_reservation([](reservation_info &r) {
                r.count = 200;
                r.reserved.resize(r.count);
              })),
              "reservation 1: first chunk"));
  CHECK(finds(report_of([](store_state &s) {
                s.catalog.values.lease_ms = 0;
                s.catalog.note(catalog_kind::settings, 0);
              }),
              "settings: lease"));
  CHECK(finds(report_of([](store_state &s) {
                byte_writer nothing;
                nothing.u64(store_chunk::zero().value);
                REQUIRE(s.exceptions.put(exception_key(volume_id{9}, chunk_no{1}, snapshot_number{1}),
                                         nothing.bytes()));
                ++s.exception_count;
              }),
              "volume: expected one that exists, found 9"));
}

TEST_CASE("check: what a page of a tree says wrongly is found") {
  const auto damaged = [](bool inner, const std::function<void(page_of &)> &what) {
    const auto device = with_two_levels();
    page_of top(*device, block_type::exception_page, newest_root(*device).exceptions.block);
    REQUIRE(top.header.detail == 1);
    byte_reader first(std::span<const std::byte>(top.entries).subspan(key_bytes, 8));
    page_of leaf(*device, block_type::exception_page, first.u64());
    page_of &changed = inner ? top : leaf;
    what(changed);
    changed.seal();
    return check_store(*device);
  };
  const auto swap = [](page_of &page, std::size_t entry_bytes, std::size_t a, std::size_t b) {
    for (std::size_t i = 0; i < entry_bytes; ++i)
      std::swap(page.entries[a * entry_bytes + i], page.entries[b * entry_bytes + i]);
  };
  CHECK(finds(damaged(false, [&](page_of &p) { swap(p, leaf_bytes, 0, 1); }), "expected above"));
  CHECK(finds(damaged(false, [&](page_of &p) { p.entries[p.entries.size() - leaf_bytes] = std::byte{0xff}; }),
              "expected below"));
  CHECK(finds(damaged(false, [](page_of &p) { p.header.detail = 1; }), "level"));
  CHECK(finds(damaged(false, [](page_of &p) { p.entries.pop_back(); }), "payload"));
  CHECK(finds(damaged(false, [](page_of &p) { p.entries.clear(); }), "payload"));
  CHECK(finds(damaged(true,
                      [](page_of &p) {
                        std::copy_n(p.entries.begin() + key_bytes, pointer_bytes,
                                    p.entries.begin() + inner_bytes + key_bytes);
                      }),
              "pointers to it: expected 1, found 2"));
  CHECK(finds(damaged(true, [](page_of &p) { p.entries[key_bytes + 7] = std::byte{1}; }),
              "pointer to it: expected a page"));
}

TEST_CASE("check: what a map of the space says wrongly is found, and no master begins with it") {
  const auto damaged = [](block_type type, const std::function<void(page_of &)> &what) {
    const auto device = filled_sample(true);
    const page_pointer directory = newest_root(*device).chunk_map;
    page_of first(*device, block_type::space_directory, directory.block);
    byte_reader in(std::span<const std::byte>(first.entries).subspan(pointer_bytes, 8));
    page_of changed(*device, type, type == block_type::space_directory ? directory.block : in.u64());
    what(changed);
    changed.seal();
    CHECK_FALSE(engine::open_read_only(*device, 1 << 20));
    CHECK_FALSE(engine::take_over(*device, {}));
    return check_store(*device);
  };
  const auto directory = block_type::space_directory, map = block_type::space_map;
  CHECK(finds(damaged(directory, [](page_of &p) { p.header.detail = 1; }), "index in the directory"));
  CHECK(finds(
      damaged(directory, [](page_of &p) { p.entries.insert(p.entries.end(), pointer_bytes, std::byte{0}); }),
      "map blocks at most"));
  CHECK(finds(damaged(directory, [](page_of &p) { p.entries.resize(pointer_bytes); }),
              "map blocks: expected 1"));
  CHECK(finds(damaged(directory, [](page_of &p) { p.entries.pop_back(); }), "map blocks at most"));
  CHECK(finds(damaged(map, [](page_of &p) { p.header.detail = 7; }), "index in the map"));
  CHECK(finds(damaged(map, [](page_of &p) { p.entries.resize(8); }), "bytes, found 8"));
  CHECK(finds(damaged(map, [](page_of &p) { p.entries.back() = std::byte{0xff}; }), "bits beyond its end"));
}

}  // namespace csnap::test
