// SPDX-License-Identifier: BSD-3-Clause
//
// The disk format does not change by accident: each block that the encoders make is compared with a
// checked-in hex text (disk_v2/; those of disk_v1/ are refused), and each way to damage a block is refused. To
// write the texts anew, after a change that was meant and that raises the format version: CSNAP_WRITE_GOLDEN=1
// disk_golden_test.
#include "tests/golden/disk_samples.h"

#include "metaserver/base/byte_reader.h"
#include "metaserver/store/superblock_blocks.h"

#include <catch2/catch.hpp>

#include <cstdlib>
#include <fstream>
#include <sstream>

namespace csnap::test {

using namespace store;

namespace {

std::string path_of(const std::string &name) {
  return std::string(CSNAP_GOLDEN_DIR) + "/disk_v2/" + name + ".hex";
}

std::string read_text(const std::string &path) {
  std::ifstream in(path);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

std::span<const std::byte> payload_of_sample(const disk_sample &sample) {
  const auto header = open_block(sample.bytes, sample.type, sample.block, sample_geometry().store);
  REQUIRE(header);
  return std::span(sample.bytes).subspan(header_bytes, header->payload_bytes);
}

disk_sample sample_named(const std::string &name) {
  for (auto &sample : disk_samples())
    if (sample.name == name) return sample;
  throw std::runtime_error("no sample " + name);
}

}  // namespace

TEST_CASE("disk golden: every block is what it was when format version 2 was fixed") {
  const auto samples = disk_samples();
  CHECK(samples.size() == 9);
  for (const auto &sample : samples) {
    INFO(sample.name);
    REQUIRE(sample.bytes.size() == block_bytes);
    const std::string text = hex_text(sample.bytes);
    if (std::getenv("CSNAP_WRITE_GOLDEN") != nullptr) std::ofstream(path_of(sample.name)) << text;
    CHECK(text == read_text(path_of(sample.name)));
  }
}

TEST_CASE("disk golden: a block with any one bit flipped is refused") {
  for (auto &sample : disk_samples()) {
    INFO(sample.name);
    REQUIRE(open_block(sample.bytes, sample.type, sample.block, sample_geometry().store));
    unsigned accepted = 0;
    for (std::size_t bit = 0; bit < block_bytes * 8; ++bit) {
      const auto mask = static_cast<std::byte>(1u << (bit % 8));
      sample.bytes[bit / 8] ^= mask;
      if (open_block(sample.bytes, sample.type, sample.block, sample_geometry().store)) ++accepted;
      sample.bytes[bit / 8] ^= mask;
    }
    CHECK(accepted == 0);
  }
}

TEST_CASE("disk golden: a block of another type, place, store or length is refused") {
  for (const auto &sample : disk_samples()) {
    unique_id other;
    const auto type = sample.type == block_type::slot ? block_type::log : block_type::slot;
    CHECK(open_block(sample.bytes, type, sample.block, sample_geometry().store).error().code ==
          errc::corrupt);
    CHECK(open_block(sample.bytes, sample.type, sample.block + 1, sample_geometry().store).error().code ==
          errc::corrupt);
    CHECK(open_block(sample.bytes, sample.type, sample.block, other).error().code == errc::corrupt);
    CHECK(open_block(std::span(sample.bytes).first(block_bytes - 1), sample.type, sample.block,
                     sample_geometry().store)
              .error()
              .code == errc::corrupt);
  }
}

TEST_CASE(
    "disk golden: the superblock and the slot decode to what they were made of, and in no other length") {
  const disk_sample label = sample_named("superblock"), place = sample_named("slot");
  const auto superblock_payload = payload_of_sample(label), slot_payload = payload_of_sample(place);
  const auto decoded = decode_superblock(superblock_payload);
  REQUIRE(decoded);
  CHECK(decoded->shape == sample_geometry());
  const auto s = decode_slot(slot_payload);
  REQUIRE(s);
  CHECK(encode_slot(*s) == std::vector<std::byte>(slot_payload.begin(), slot_payload.end()));
  for (std::size_t length = 0; length < superblock_payload.size(); ++length)
    CHECK_FALSE(decode_superblock(superblock_payload.first(length)));
  for (std::size_t length = 0; length < slot_payload.size(); ++length)
    CHECK_FALSE(decode_slot(slot_payload.first(length)));
}

TEST_CASE("disk golden: each record decodes to what it was made of, and in no other length") {
  unsigned types = 0;
  for (const record &r : sample_records()) {
    INFO("type " << r.index() + 1);
    CHECK(r.index() == types++);
    const auto bytes = encode_record(r);
    const auto again = decode_record(bytes);
    REQUIRE(again);
    CHECK(again->index() == r.index());
    CHECK(encode_record(*again) == bytes);
    for (std::size_t length = 0; length < bytes.size(); ++length)
      CHECK_FALSE(decode_record(std::span(bytes).first(length)));
    auto longer = bytes;
    longer.push_back(std::byte{0});
    CHECK_FALSE(decode_record(longer));
  }
  CHECK(types == std::variant_size_v<record>);
}

TEST_CASE("disk golden: a newer format version is called unsupported, not damaged") {
  disk_sample sample = sample_named("slot");
  // Another version with a checksum that is right: sealed here by hand.
  sample.bytes[6] = std::byte{3};
  const auto refused = open_block(sample.bytes, sample.type, sample.block, sample_geometry().store);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == errc::corrupt);
  const std::string text = refused.error().text;
  const std::string computed = text.substr(text.find("expected ") + 9);
  const auto checksum = static_cast<std::uint32_t>(std::stoul(computed));
  for (std::size_t i = 0; i < 4; ++i) sample.bytes[44 + i] = static_cast<std::byte>(checksum >> (8 * i));
  CHECK(open_block(sample.bytes, sample.type, sample.block, sample_geometry().store).error().code ==
        errc::unsupported);
}

// A line is "OFFSET: 16 bytes  text"; lines of zeroes are left out.
std::vector<std::byte> block_of_hex(const std::string &text) {
  std::vector<std::byte> bytes(block_bytes);
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const std::size_t offset = std::stoul(line.substr(0, 4), nullptr, 16);
    for (std::size_t i = 0; i < 16; ++i)
      bytes[offset + i] = static_cast<std::byte>(std::stoul(line.substr(6 + 3 * i, 2), nullptr, 16));
  }
  return bytes;
}

TEST_CASE("disk golden: blocks of format version 1 are refused, and called what they are") {
  for (const auto &sample : disk_samples()) {
    INFO(sample.name);
    const auto old =
        block_of_hex(read_text(std::string(CSNAP_GOLDEN_DIR) + "/disk_v1/" + sample.name + ".hex"));
    const auto refused = open_block(old, sample.type, sample.block, sample_geometry().store);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == errc::unsupported);
    CHECK(refused.error().text.find("format version 1, this program knows 2") != std::string::npos);
  }
}

}  // namespace csnap::test
