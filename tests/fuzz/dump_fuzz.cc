// SPDX-License-Identifier: BSD-3-Clause
//
// Dumps, as restore meets them: anybody's text. What is accepted checks clean and dumps as what it was made of.
#include "tests/fuzz/fuzz_target.h"

#include "metaserver/base/check.h"
#include "metaserver/store/offline.h"
#include "tests/support/memory_device.h"

#include <algorithm>
#include <string>

using namespace csnap;
using namespace csnap::test;

namespace {

std::string dump_of(block_device &device) {
  std::string text;
  check(store::dump_store(device, [&](std::string_view piece) { text += piece; }).has_value(),
        "a restored store cannot be dumped");
  return text.substr(text.find("\"settings\""));
}

result<store::geometry> restore(block_device &device, std::string_view text) {
  store::restore_request request;
  request.store.bytes.fill(std::byte{3});
  request.draw = [] { return unique_id{}; };
  return store::restore_store(device, nullptr, request, [&](std::span<char> into) -> result<std::size_t> {
    const std::size_t size = std::min(into.size(), text.size());
    std::copy_n(text.begin(), size, into.begin());
    text.remove_prefix(size);
    return size;
  });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char *>(data), size);
  memory_device device(std::uint64_t{9} << 20);
  const auto made = restore(device, text);
  if (!made) {
    check(!made.error().text.empty() && made.error().text.size() < 1000,
          "an error that says nothing, or too much");
    return 0;
  }
  const auto report = store::check_store(device);
  check(report.ok(), report.ok() ? "" : report.errors.front().c_str());
  std::string whole;
  check(store::dump_store(device, [&](std::string_view piece) { whole += piece; }).has_value(), "dump");
  memory_device second(std::uint64_t{9} << 20);
  const auto again = restore(second, whole);
  check(again.has_value() && dump_of(second) == dump_of(device), "a dump changes when it is restored");
  return 0;
}
