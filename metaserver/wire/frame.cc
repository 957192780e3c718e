// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/wire/frame.h"

#include "metaserver/base/byte_reader.h"
#include "metaserver/base/byte_writer.h"
#include "metaserver/base/crc32c.h"
#include "metaserver/wire/archive.h"

#include <array>
#include <utility>

namespace csnap::wire {
namespace {

constexpr std::size_t checksum_offset = 12;
constexpr std::array<std::byte, 4> no_checksum{};

std::uint32_t frame_checksum(std::span<const std::byte> frame) {
  std::uint32_t crc = crc32c(frame.first(checksum_offset));
  crc = crc32c(no_checksum, crc);
  return crc32c(frame.subspan(checksum_offset + 4), crc);
}

// Decodes the alternative whose number is `index` by trying each in turn at compile time.
template <std::size_t... Index>
bool decode_body(std::size_t index, decoder &d, message &out, std::index_sequence<Index...>) {
  return ((Index == index ? (out.emplace<Index>().fields(d), true) : false) || ...);
}

}  // namespace

std::vector<std::byte> encode_frame(const envelope &e) {
  byte_writer out;
  out.u32(frame_magic);
  out.u16(protocol_version);
  out.u16(static_cast<std::uint16_t>(e.body.index() + 1));
  out.u32(0);
  out.u32(0);
  out.u64(e.request);
  out.u64(e.term.counter);
  out.u32(e.term.node);
  out.u32(0);
  encoder f(out);
  // `fields` is one function for both directions; encoding does not change the message.
  std::visit([&](const auto &body) { const_cast<std::remove_cvref_t<decltype(body)> &>(body).fields(f); },
             e.body);

  const std::size_t payload = out.size() - frame_header_bytes;
  check(payload <= frame_payload_bytes_max, "message longer than a frame may be");
  const auto patch = [&](std::size_t at, std::uint32_t value) {
    for (std::size_t i = 0; i < 4; ++i) out.bytes()[at + i] = static_cast<std::byte>(value >> (8 * i));
  };
  patch(8, static_cast<std::uint32_t>(payload));
  patch(checksum_offset, frame_checksum(out.bytes()));
  return out.release();
}

result<std::size_t> frame_size(std::span<const std::byte, frame_header_bytes> header) {
  byte_reader in(header);
  if (in.u32() != frame_magic) return fail(errc::invalid, "not a csnap frame (wrong magic)");
  const unsigned version = in.u16();
  if (version != protocol_version)
    return fail(errc::unsupported, "protocol version " + std::to_string(version) + ", this side speaks " +
                                       std::to_string(protocol_version));
  (void)in.u16();
  const std::size_t payload = in.u32();
  if (payload > frame_payload_bytes_max)
    return fail(errc::invalid, "frame of " + std::to_string(payload) + " bytes is longer than allowed");
  return frame_header_bytes + payload;
}

result<envelope> decode_frame(std::span<const std::byte> frame) {
  if (frame.size() < frame_header_bytes) return fail(errc::invalid, "frame shorter than its header");
  const auto size = frame_size(frame.first<frame_header_bytes>());
  if (!size) return size.error();
  if (*size != frame.size()) return fail(errc::invalid, "frame length does not fit its header");

  byte_reader in(frame);
  (void)in.take(6);
  const std::size_t type = in.u16();
  (void)in.u32();
  if (in.u32() != frame_checksum(frame)) return fail(errc::invalid, "frame checksum is wrong");
  envelope e;
  e.request = in.u64();
  e.term.counter = in.u64();
  e.term.node = in.u32();
  if (in.u32() != 0) return fail(errc::invalid, "reserved field of a frame is not 0");
  if (type == 0 || type > std::variant_size_v<message_kinds>)
    return fail(errc::invalid, "unknown message type " + std::to_string(type));

  decoder d(in);
  (void)decode_body(type - 1, d, e.body, std::make_index_sequence<std::variant_size_v<message_kinds>>{});
  if (!in.finished())
    return fail(errc::invalid, std::string("malformed message '") + message_name(e.body) + "'");
  return e;
}

const char *message_name(const message &m) {
  static constexpr std::array names = {"hello",          "welcome",
                                       "failed",         "renew",
                                       "renewed",        "goodbye",
                                       "done",           "list",
                                       "list_reply",     "open_volume",
                                       "volume_opened",  "close_volume",
                                       "open_snapshot",  "snapshot_opened",
                                       "close_snapshot", "reserve",
                                       "reserved",       "commit",
                                       "committed",      "unshared_query",
                                       "unshared_map",   "map",
                                       "map_reply",      "drop",
                                       "recall",         "recall_answer",
                                       "snapshot_gone",  "snapshot_gone_answer",
                                       "freeze",         "freeze_answer",
                                       "thaw",           "create",
                                       "created",        "remove",
                                       "rename",         "diff",
                                       "diff_reply",     "status",
                                       "sessions",       "report",
                                       "reclaim",        "return_chunks",
                                       "store_grown",    "set_volume",
                                       "set_snapshot",   "hold",
                                       "release",        "resize",
                                       "resized",        "processes",
                                       "process_list",   "processes_ended"};
  static_assert(names.size() == std::variant_size_v<message_kinds>);
  return names[m.index()];
}

}  // namespace csnap::wire
