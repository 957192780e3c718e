// SPDX-License-Identifier: BSD-3-Clause
//
// The plugin's parameters: lines KEY=VALUE. What is refused is said in one line.
#include "tests/fuzz/fuzz_target.h"

#include "metaserver/base/check.h"
#include "metaserver/base/names.h"
#include "nbdkit-plugin/plugin_config.h"

#include <algorithm>
#include <string>
#include <string_view>

using namespace csnap;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  std::string_view text(reinterpret_cast<const char *>(data), size);
  plugin::plugin_config config;
  const auto said = [](const result<> &done) {
    check(done || !done.error().text.empty(), "a parameter is refused without a word");
  };
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    // nbdkit gives C strings.
    const std::string line(text.substr(0, std::min(end, text.find('\0'))));
    text.remove_prefix(std::min(end + 1, text.size()));
    const auto equals = line.find('=');
    if (equals != std::string::npos)
      said(config.set(line.substr(0, equals).c_str(), line.substr(equals + 1).c_str()));
  }
  said(config.complete());
  for (const auto &[name, device] : config.devices)
    check(is_valid_name(name), "a device for a volume of a bad name");
  return 0;
}
