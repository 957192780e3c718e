// SPDX-License-Identifier: BSD-3-Clause
//
// Frames of the agent's protocol. The checksum, magic, version and length are set right first: otherwise nothing
// but the checksum would ever be tried.
#include "tests/fuzz/fuzz_target.h"

#include "metaserver/base/check.h"
#include "metaserver/base/crc32c.h"
#include "metaserver/wire/agent_frame.h"

#include <algorithm>
#include <span>
#include <vector>

using namespace csnap;

namespace {

void put(std::vector<std::byte> &frame, std::size_t at, std::uint64_t value, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) frame[at + i] = static_cast<std::byte>(value >> (8 * i));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  const auto raw = std::as_bytes(std::span(data, size));
  (void)wire::agent::decode_frame(raw);
  std::vector<std::byte> frame(raw.begin(), raw.end());
  frame.resize(std::max(frame.size(), wire::agent::frame_header_bytes));
  put(frame, 0, wire::agent::frame_magic, 4);
  put(frame, 4, wire::agent::protocol_version, 2);
  put(frame, 8, frame.size() - wire::agent::frame_header_bytes, 4);
  put(frame, 12, 0, 4);
  put(frame, 12, crc32c(frame), 4);
  const auto decoded = wire::agent::decode_frame(frame);
  if (decoded)
    check(wire::agent::encode_frame(*decoded) == frame, "a frame that was accepted is encoded differently");
  return 0;
}
