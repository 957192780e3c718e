// SPDX-License-Identifier: BSD-3-Clause
//
// What people and NBD clients type: names of exports and snapshots, sizes, endpoints.
#include "tests/fuzz/fuzz_target.h"

#include "metaserver/base/check.h"
#include "metaserver/base/names.h"
#include "metaserver/client/endpoint.h"

#include <string_view>

using namespace csnap;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char *>(data), size);
  if (const auto name = parse_snapshot_name(text)) {
    check(is_valid_name(name->volume) && is_valid_name(name->snapshot), "a bad name is accepted");
    check(name->volume + "@" + name->snapshot == text, "a snapshot's name changes");
  }
  if (const auto name = parse_export_name(text)) {
    std::string again = name->volume;
    if (!name->is_origin()) again += "@";
    if (name->is_difference()) again += name->since + "..";
    check(again + name->snapshot == text, "an export's name changes");
  } else {
    check(name.error().text.size() < 400, "an error is as long as what was typed");
  }
  if (const auto bytes = parse_size(text)) check(!format_size(*bytes).empty(), "a size without text");
  if (const auto endpoint = client::parse_endpoint(text)) {
    const auto again = client::parse_endpoint(endpoint->text());
    check(again.has_value() && *again == *endpoint, "an endpoint changes");
  }
  (void)client::parse_endpoints(text);
  return 0;
}
