// SPDX-License-Identifier: BSD-3-Clause
//
// The frames of the agent's protocol: what is written is read again, what is damaged is refused.
#include "tests/unit/wire/agent_message_filler.h"

#include <catch2/catch.hpp>

using namespace csnap;
using namespace csnap::wire::agent;

TEST_CASE("agent frame: every message is read as it was written") {
  for (std::size_t type = 0; type < message_types; ++type)
    for (std::uint64_t seed = 1; seed <= 50; ++seed) {
      const auto frame = encode_frame(random_message(type, seed));
      const auto decoded = decode_frame(frame);
      REQUIRE(decoded);
      CHECK(decoded->index() == type);
      CHECK(encode_frame(*decoded) == frame);
      CHECK(frame_size(std::span(frame).first<frame_header_bytes>()).value() == frame.size());
    }
}

TEST_CASE("agent frame: any flipped bit and any other length is refused") {
  for (std::size_t type = 0; type < message_types; ++type) {
    auto frame = encode_frame(random_message(type, 3));
    for (std::size_t bit = 0; bit < frame.size() * 8; ++bit) {
      frame[bit / 8] ^= std::byte{1} << (bit % 8);
      CHECK_FALSE(decode_frame(frame));
      frame[bit / 8] ^= std::byte{1} << (bit % 8);
    }
    for (std::size_t size = 0; size < frame.size(); ++size)
      CHECK_FALSE(decode_frame(std::span(frame).first(size)));
  }
}

TEST_CASE("agent frame: a length beyond the limit is refused by the header alone") {
  auto frame = encode_frame(health{});
  frame[8] = std::byte{1}, frame[10] = std::byte{1};  // 65537
  CHECK_FALSE(frame_size(std::span(frame).first<frame_header_bytes>()));
  frame[8] = std::byte{0};  // 65536, the limit
  CHECK(frame_size(std::span(frame).first<frame_header_bytes>()));
}
