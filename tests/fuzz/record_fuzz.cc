// SPDX-License-Identifier: BSD-3-Clause
//
// Records of the log, as recovery meets them.
#include "tests/fuzz/fuzz_target.h"

#include "metaserver/base/check.h"
#include "metaserver/store/records.h"

#include <algorithm>
#include <span>
#include <vector>

using namespace csnap;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  const auto raw = std::as_bytes(std::span(data, size));
  (void)store::decode_record(raw);
  // Once more with the length in the header set right, so that mutations reach the payload.
  std::vector<std::byte> bytes(raw.begin(), raw.end());
  if (bytes.size() < 8) return 0;
  const std::uint64_t payload = bytes.size() - 8;
  for (std::size_t i = 0; i < 4; ++i) bytes[4 + i] = static_cast<std::byte>(payload >> (8 * i));
  const auto record = store::decode_record(bytes);
  if (!record) return 0;
  const auto again = store::encode_record(*record);
  const auto reread = store::decode_record(again);
  check(reread.has_value(), "a record that was accepted is refused when written again");
  check(store::encode_record(*reread) == again, "a record changes when it is written again");
  return 0;
}
