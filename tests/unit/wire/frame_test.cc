// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/wire/frame.h"

#include "tests/unit/wire/message_filler.h"
#include "tests/unit/wire/plain_frame.h"

#include <catch2/catch.hpp>

#include <string>

namespace csnap::wire {
namespace {

constexpr int contents_of_each_type = 40;

template <class Check>
void for_each_message(int contents, const Check &check_one) {
  for (std::size_t type = 0; type < message_types; ++type)
    for (int seed = 1; seed <= contents; ++seed) {
      const envelope e = random_envelope(type, static_cast<std::uint64_t>(seed) * 1000 + type);
      INFO("message " << message_name(e.body) << ", seed " << seed);
      check_one(e);
    }
}

TEST_CASE("frame: every message comes back as it was sent") {
  for_each_message(contents_of_each_type, [](const envelope &e) {
    const bytes frame = encode_frame(e);
    const auto back = decode_frame(frame);
    REQUIRE(back.has_value());
    REQUIRE(back->request == e.request);
    REQUIRE(back->term == e.term);
    REQUIRE(back->body.index() == e.body.index());
    REQUIRE(plain_frame(*back) == plain_frame(e));
  });
}

TEST_CASE("frame: the encoder writes what the protocol says") {
  for_each_message(contents_of_each_type,
                   [](const envelope &e) { REQUIRE(encode_frame(e) == plain_frame(e)); });
}

TEST_CASE("frame: the header alone tells the length of the frame") {
  for_each_message(1, [](const envelope &e) {
    const bytes frame = encode_frame(e);
    const auto size = frame_size(std::span(frame).first<frame_header_bytes>());
    REQUIRE(size.has_value());
    REQUIRE(*size == frame.size());
  });
}

TEST_CASE("frame: every single flipped bit is refused") {
  for_each_message(2, [](const envelope &e) {
    bytes frame = encode_frame(e);
    for (std::size_t bit = 0; bit < frame.size() * 8; ++bit) {
      const auto mask = static_cast<std::byte>(1u << (bit % 8));
      frame[bit / 8] ^= mask;
      if (decode_frame(frame).has_value()) FAIL("accepted with bit " << bit << " flipped");
      frame[bit / 8] ^= mask;
    }
    REQUIRE(decode_frame(frame).has_value());
  });
}

TEST_CASE("frame: cut off at any byte it is refused") {
  for_each_message(3, [](const envelope &e) {
    const bytes frame = encode_frame(e);
    for (std::size_t length = 0; length < frame.size(); ++length)
      if (decode_frame(std::span(frame).first(length)).has_value())
        FAIL("accepted with " << length << " bytes");
  });
}

// As above, but length and checksum are those of the shorter (or longer) payload: only the decoder of the
// message itself can notice.
TEST_CASE("frame: a payload that is too short or too long is refused though its checksum is right") {
  for_each_message(3, [](const envelope &e) {
    const bytes frame = encode_frame(e);
    const bytes payload(frame.begin() + frame_header_bytes, frame.end());
    const auto type = static_cast<std::uint16_t>(e.body.index() + 1);
    for (std::size_t length = 0; length < payload.size(); ++length) {
      const bytes cut(payload.begin(), payload.begin() + static_cast<std::ptrdiff_t>(length));
      if (decode_frame(plain_frame(type, e, cut)).has_value()) FAIL("accepted with payload of " << length);
    }
    bytes longer = payload;
    longer.push_back(std::byte{0});
    REQUIRE_FALSE(decode_frame(plain_frame(type, e, longer)).has_value());
    REQUIRE(decode_frame(plain_frame(type, e, payload)).has_value());
  });
}

TEST_CASE("frame: a type that is not known is refused") {
  for (const unsigned type : {0u, static_cast<unsigned>(message_types) + 1, 255u, 256u + 1, 65535u}) {
    const auto back = decode_frame(plain_frame(static_cast<std::uint16_t>(type), {}, {}));
    REQUIRE_FALSE(back.has_value());
    REQUIRE(back.error().code == errc::invalid);
    REQUIRE(back.error().text == "unknown message type " + std::to_string(type));
  }
}

TEST_CASE("frame: magic, version, length and reserved field are looked at") {
  const bytes good = encode_frame(envelope{});
  const auto with = [&](std::size_t at, unsigned value) {
    bytes frame = good;
    frame[at] = static_cast<std::byte>(value);
    for (std::size_t i = 12; i < 16; ++i) frame[i] = std::byte{0};
    const std::uint32_t sum = crc32c(frame);
    for (std::size_t i = 0; i < 4; ++i) frame[12 + i] = static_cast<std::byte>(sum >> (8 * i));
    return decode_frame(frame);
  };
  REQUIRE(with(0, 'C').has_value());
  REQUIRE(with(0, 'c').error().code == errc::invalid);
  REQUIRE(with(4, 2).error().code == errc::unsupported);
  REQUIRE(with(4, 4).error().code == errc::unsupported);
  REQUIRE(with(36, 1).error().code == errc::invalid);
  REQUIRE(with(10, 4).error().text.find("longer than allowed") != std::string::npos);
}

// For every text and list: exactly the limit is taken, one more is refused.
TEST_CASE("frame: texts and lists are taken up to their limits and not beyond") {
  std::size_t tried = 0;
  for_each_message(1, [&](const envelope &e) {
    const auto frame_with = [&](std::size_t field, std::size_t beyond) {
      plain_payload payload;
      payload.resized = field;
      payload.beyond_limit = beyond;
      message body = default_message(e.body.index());
      std::visit([&](auto &m) { m.fields(payload); }, body);
      return plain_frame(static_cast<std::uint16_t>(body.index() + 1), e, payload.out);
    };
    plain_payload count;
    message body = default_message(e.body.index());
    std::visit([&](auto &m) { m.fields(count); }, body);
    for (std::size_t field = 0; field < count.bounded_fields; ++field, ++tried) {
      INFO("text or list number " << field);
      // Items whose all-zero encoding is no valid item (an enumeration in it) cannot show the upper bound.
      const auto at_limit = decode_frame(frame_with(field, 0));
      const bool items_hold_enums = e.body.index() + 1 == 19 || e.body.index() + 1 == 23;
      REQUIRE((at_limit.has_value() || items_hold_enums));
      REQUIRE_FALSE(decode_frame(frame_with(field, 1)).has_value());
    }
  });
  REQUIRE(tried >= 29);
}

TEST_CASE("frame: a count that the bytes cannot hold is refused before anything is allocated") {
  // commit: volume, epoch, then a list of up to 256 entries; three bytes follow the count of 256.
  bytes payload(4 + 8 + 8);
  for (const unsigned b : {0u, 1u, 0u, 0u, 9u, 9u, 9u}) payload.push_back(static_cast<std::byte>(b));
  REQUIRE_FALSE(decode_frame(plain_frame(18, {}, payload)).has_value());
}

TEST_CASE("frame: enumerations refuse what they do not know") {
  const auto refused = [](std::uint16_t type, const bytes &payload) {
    return !decode_frame(plain_frame(type, {}, payload)).has_value();
  };
  const auto failed_with = [](unsigned code) {
    bytes payload{static_cast<std::byte>(code), std::byte{0}};
    payload.resize(2 + 4 + 4);
    return payload;
  };
  REQUIRE(refused(3, failed_with(0)));
  REQUIRE_FALSE(refused(3, failed_with(1)));
  REQUIRE_FALSE(refused(3, failed_with(14)));
  REQUIRE(refused(3, failed_with(15)));
  const auto committed_with = [](unsigned stale, unsigned fate, unsigned unshared) {
    return bytes{static_cast<std::byte>(stale),
                 std::byte{1},
                 std::byte{0},
                 std::byte{0},
                 std::byte{0},
                 static_cast<std::byte>(fate),
                 static_cast<std::byte>(unshared)};
  };
  REQUIRE_FALSE(refused(19, committed_with(1, 3, 1)));
  REQUIRE(refused(19, committed_with(2, 3, 1)));
  REQUIRE(refused(19, committed_with(1, 4, 1)));
  REQUIRE(refused(19, committed_with(1, 0, 1)));
  REQUIRE(refused(19, committed_with(1, 3, 2)));
}

// What the server may have to send at its largest fits into a frame: encode_frame would abort otherwise.
TEST_CASE("frame: the largest legal answers fit into a frame") {
  envelope e;
  list_reply full;
  full.snapshots.resize(list_entries_max);
  for (auto &s : full.snapshots) s.name.assign(name_length_max, 'n');
  e.body = full;
  REQUIRE(encode_frame(e).size() <= frame_header_bytes + frame_payload_bytes_max);
  diff_reply runs;
  runs.runs.resize(diff_runs_max);
  e.body = runs;
  REQUIRE(encode_frame(e).size() <= frame_header_bytes + frame_payload_bytes_max);
  report text;
  text.json.assign(frame_payload_bytes_max - 16, ' ');
  e.body = text;
  REQUIRE(encode_frame(e).size() <= frame_header_bytes + frame_payload_bytes_max);
}

}  // namespace
}  // namespace csnap::wire
