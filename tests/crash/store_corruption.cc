// SPDX-License-Identifier: BSD-3-Clause
//
// Goal: whatever a device returns instead of a metadata block, nothing wrong is served. Method: in a small store
// with a block of every kind, one at a time: a bit of each byte is flipped (each bit, if
// CSNAP_ALL_BITS is set), blocks are put in each other's places, and blocks are put back to what they were before. Each
// time the store is read completely. It reads as it should (from the other copy where there is one), or it is
// refused with the block's number, what was expected and what was found; `check` says the same.
#include "metaserver/store/block.h"
#include "metaserver/store/offline.h"
#include "metaserver/store/slot_blocks.h"
#include "metaserver/store/store_state.h"
#include "tests/support/store_model.h"

#include <catch2/catch.hpp>

#include <cstdio>
#include <cstdlib>

using namespace csnap;
using namespace csnap::store;
using namespace csnap::test;

namespace {

geometry small_geometry() {
  geometry g = tiny_geometry();
  g.log_blocks = 24;
  g.pages_offset_bytes = g.logs_offset_bytes + g.node_count * g.log_blocks * block_bytes;
  g.chunk_count = 4000;
  return g;
}

struct victim {
  std::uint64_t block{};
  block_type type{};
  std::uint32_t detail{};
  bool is_mirrored() const { return type == block_type::superblock || type == block_type::slot; }
};

class scene {
 public:
  scene() : device_(shape_.pages_offset_bytes + shape_.page_count * block_bytes) {
    make_tiny_store(device_, shape_);
    auto opened = engine::take_over(device_, {});
    REQUIRE(opened.has_value());
    e_ = std::move(*opened);
    record_source source(11, 4000);
    for (int i = 0; i < 120; ++i) {
      if (!e_->has_room() || i % 20 == 19) checkpoint();
      append(source.next(*e_));
    }
    checkpoint();
    for (int i = 0; i < 6; ++i) append(source.next(*e_));
    e_.reset();
    find_victims();
  }

  const std::vector<victim> &victims() const { return victims_; }
  // The first one of each type and, of trees, of leaves and inner pages.
  std::vector<victim> one_of_each_kind() const {
    std::vector<victim> out;
    for (const victim &v : victims_) {
      const auto same = [&](const victim &o) {
        return o.type == v.type && (v.type == block_type::superblock || v.type == block_type::slot ||
                                    v.type == block_type::log || v.type == block_type::space_map ||
                                    v.type == block_type::space_directory || o.detail == v.detail);
      };
      if (std::find_if(out.begin(), out.end(), same) == out.end()) out.push_back(v);
    }
    return out;
  }
  const std::vector<std::vector<std::byte>> &history() const { return history_; }
  std::span<const std::byte> block(std::uint64_t number) const {
    return device_.content().subspan(number * block_bytes, block_bytes);
  }

  // What the store is like with `bytes` in a block: "" or what is wrong with that.
  std::string with(const victim &v, std::span<const std::byte> bytes, bool also_check) {
    const std::vector<std::byte> saved(block(v.block).begin(), block(v.block).end());
    device_.overwrite(v.block * block_bytes, bytes);
    std::string wrong = read_everything(v);
    if (wrong.empty() && also_check) wrong = check_everything(v);
    device_.overwrite(v.block * block_bytes, saved);
    ++tried_;
    return wrong.empty() ? "" : "block " + std::to_string(v.block) + ": " + wrong;
  }
  std::uint64_t tried() const { return tried_; }

 private:
  void append(const record &r) {
    if (!e_->append(r)) return;
    model_.apply(r);
    REQUIRE(run_log_batch(*e_, device_).has_value());
  }
  void checkpoint() {
    REQUIRE(run_checkpoint(*e_, device_).has_value());
    history_.emplace_back(device_.content().begin(), device_.content().end());
  }

  std::string read_everything(const victim &v) {
    const auto opened = engine::open_read_only(device_, 1u << 20);
    std::string said;
    if (!opened) {
      if (opened.error().code != errc::corrupt) return "refused as " + opened.error().text;
      said = opened.error().text;
    } else {
      const std::string difference = model_.difference(**opened);
      if (difference.empty()) return v.is_mirrored() ? "" : "nobody noticed";
      if (!difference.starts_with("listing: ")) return "served wrong: " + difference;
      said = difference;
    }
    if (v.is_mirrored()) return "the other copy was not used: " + said;
    return names(said, v.block) ? "" : "not named: " + said;
  }
  std::string check_everything(const victim &v) {
    const auto report = check_store(device_);
    for (const auto *lines : {&report.errors, &report.notes})
      for (const std::string &line : *lines)
        if (names(line, v.block)) return "";
    return report.errors.empty() ? "check finds nothing" : "check does not name it: " + report.errors.front();
  }
  static bool names(const std::string &said, std::uint64_t block) {
    return said.find("block " + std::to_string(block) + ":") != std::string::npos &&
           (said.find("expected") != std::string::npos || said.find("proves") != std::string::npos);
  }

  void find_victims() {
    victims_ = {{0, block_type::superblock, 0}, {1, block_type::superblock, 0}};
    const auto slots = read_all_slots(device_, shape_);
    const root newest = newest_root_of(*slots)->newest_root;
    const std::uint64_t slot = shape_.slots_offset_bytes / block_bytes;
    for (std::uint64_t b = slot; b < slot + shape_.node_count * blocks_per_slot; ++b)
      victims_.push_back({b, block_type::slot, 0});
    // The last batch may be a torn tail: that is for the crash tests.
    const std::uint64_t log = shape_.logs_offset_bytes / block_bytes;
    for (std::uint64_t s = newest.log_sequence; s < newest.log_sequence + 5; ++s)
      victims_.push_back({log + s % shape_.log_blocks, block_type::log, 0});
    store_state state(device_, shape_, 1u << 20);
    REQUIRE(state.load(newest, {}, {}).has_value());
    const std::uint64_t pages = shape_.pages_offset_bytes / block_bytes;
    for (std::uint64_t b = pages; b < pages + shape_.page_count; ++b) {
      if (!state.pages.map().is_busy(b - pages)) continue;
      for (const auto type : {block_type::exception_page, block_type::catalog_page, block_type::space_map,
                              block_type::space_directory})
        if (const auto header = open_block(block(b), type, b, shape_.store))
          victims_.push_back({b, type, header->detail});
    }
  }

  geometry shape_ = small_geometry();
  memory_device device_;
  std::unique_ptr<engine> e_;
  store_model model_;
  std::vector<std::vector<std::byte>> history_;
  std::vector<victim> victims_;
  std::uint64_t tried_ = 0;
};

}  // namespace

TEST_CASE("corruption: a flipped bit in any kind of block is seen, named, or mended by the other copy",
          "[store]") {
  scene s;
  const bool all_bits = std::getenv("CSNAP_ALL_BITS") != nullptr;
  const auto kinds = s.one_of_each_kind();
  CHECK(kinds.size() == 9);
  for (const victim &v : kinds) {
    INFO("type " << static_cast<int>(v.type) << " detail " << v.detail);
    std::vector<std::byte> bytes(s.block(v.block).begin(), s.block(v.block).end());
    for (std::size_t bit = 0; bit < block_bytes * 8; bit += all_bits ? 1 : 8 + (bit / 8 % 7 == 0)) {
      bytes[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
      const std::string wrong = s.with(v, bytes, bit % 500 == 0);
      if (!wrong.empty()) FAIL_CHECK("bit " << bit << ": " << wrong);
      bytes[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
    }
  }
  std::printf("corruption: %llu flipped bits in %zu kinds of blocks\n",
              static_cast<unsigned long long>(s.tried()), kinds.size());
}

TEST_CASE("corruption: a block in another's place is seen", "[store]") {
  scene s;
  for (const victim &to : s.victims())
    for (const victim &from : s.victims()) {
      if (from.block == to.block) continue;
      const std::vector<std::byte> bytes(s.block(from.block).begin(), s.block(from.block).end());
      const std::string wrong = s.with(to, bytes, from.block % 16 == to.block % 16);
      if (!wrong.empty()) FAIL_CHECK("from " << from.block << ": " << wrong);
    }
  CHECK(s.tried() > 500);
  std::printf("corruption: %llu misplaced blocks\n", static_cast<unsigned long long>(s.tried()));
}

TEST_CASE("corruption: a block as it was before is seen: a write was lost", "[store]") {
  scene s;
  for (const victim &v : s.victims())
    for (const auto &before : s.history()) {
      const auto bytes = std::span(before).subspan(v.block * block_bytes, block_bytes);
      if (std::equal(bytes.begin(), bytes.end(), s.block(v.block).begin())) continue;
      const std::string wrong = s.with(v, bytes, !v.is_mirrored());
      if (!wrong.empty()) FAIL_CHECK(wrong);
    }
  CHECK(s.tried() > 50);
  std::printf("corruption: %llu lost writes\n", static_cast<unsigned long long>(s.tried()));
}
