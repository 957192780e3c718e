// SPDX-License-Identifier: BSD-3-Clause
//
// What sysfs and procfs tell of an nbd device.
#pragma once

#include "metaserver/base/result.h"

#include <cstdint>
#include <optional>
#include <string>

namespace csnap::attach {

// "/dev/nbd3" or "nbd3" -> 3. Errors: invalid.
result<std::uint32_t> parse_device(const std::string &typed);
std::string device_path(std::uint32_t index);
// What the kernel keeps of whom a device is attached to. Of "": what all of ours begin with.
std::string device_identifier(const std::string &export_name);

class device_facts {
 public:
  // Root is "" but in tests.
  explicit device_facts(std::uint32_t index, std::string root = "");

  // The process that attached it, as the kernel kept it; none: it is not attached.
  std::optional<std::string> attached_by() const;
  // What attached it said of itself.
  std::string identifier() const;
  std::uint64_t size_bytes() const;
  // Who uses it: "mounted at /mnt", "swap", "dm-0"; empty: nobody that the kernel knows of.
  std::string user() const;
  // How long a request waits before it is looked at again: one whose connection was replaced is then sent anew.
  result<> set_request_timer_ms(std::uint32_t ms) const;

 private:
  std::string attribute(const std::string &name) const;
  std::string mounted_at() const;

  const std::string root_;
  const std::string name_;
  const std::string folder_;  // in sysfs
};

}  // namespace csnap::attach
