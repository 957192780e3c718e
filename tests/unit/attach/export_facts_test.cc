// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/attach/export_facts.h"

#include <linux/nbd.h>
#include <catch2/catch.hpp>

using namespace csnap;
using namespace csnap::attach;

namespace {

constexpr std::uint16_t writable = NBD_FLAG_HAS_FLAGS | NBD_FLAG_SEND_FLUSH | NBD_FLAG_SEND_FUA;
constexpr std::uint16_t read_only = NBD_FLAG_HAS_FLAGS | NBD_FLAG_READ_ONLY;

std::string refusal(const export_facts &attached, const export_facts &now) {
  const auto same = is_the_same_export(attached, now);
  return same ? "" : same.error().text;
}

}  // namespace

TEST_CASE("a device goes on with what it was attached to") {
  CHECK(refusal({4096, writable, "origin, 1 snapshot"}, {4096, writable, "origin, 2 snapshots"}).empty());
  CHECK(refusal({4096, read_only, "snapshot 3"}, {4096, read_only, "snapshot 3"}).empty());
  // A server that can more than the old one did is no loss.
  CHECK(refusal({4096, writable, ""}, {4096, writable | NBD_FLAG_SEND_TRIM, ""}).empty());
}

TEST_CASE("a device goes on with nothing else") {
  CHECK(refusal({4096, writable, ""}, {8192, writable, ""}).find("8192 bytes now") != std::string::npos);
  CHECK(refusal({4096, writable, ""}, {4096, writable | NBD_FLAG_READ_ONLY, ""}).find("read-only now") !=
        std::string::npos);
  CHECK(refusal({4096, read_only, ""}, {4096, writable, ""}).find("writable now") != std::string::npos);
  CHECK(refusal({4096, writable, ""}, {4096, NBD_FLAG_HAS_FLAGS, ""}).find("no longer offers") !=
        std::string::npos);
  CHECK(refusal({4096, read_only, "snapshot 3"}, {4096, read_only, "snapshot 4"}).find("another snapshot") !=
        std::string::npos);
}
