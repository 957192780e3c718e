// SPDX-License-Identifier: BSD-3-Clause
//
// One file for each store of a node, /etc/csnap/NAME.conf, which the server, the agent and nbdkit read: lines
// "key = value" with the names of their long options, and comments. What is wrong is told with file and line.
#pragma once

#include "metaserver/base/result.h"

#include <string>
#include <string_view>
#include <vector>

namespace csnap::service {

inline constexpr std::string_view config_directory = "/etc/csnap";

struct setting {
  std::string key, value;
};

struct store_config {
  std::string file;
  std::string name;  // of the store on this node: the file's without ".conf"
  std::vector<setting> settings;

  std::string value_of(std::string_view key) const;  // empty: not set
  std::vector<std::string> values_of(std::string_view key) const;
  // The device that has the metadata, and the master's record.
  std::string metadata_device() const;
};

// Errors: invalid, "FILE:LINE: what is expected".
result<store_config> parse_store_config(const std::string &file, std::string_view text);

// NAME, for /etc/csnap/NAME.conf, or the path of a file (with a '/' in it).
std::string config_path(std::string_view name_or_path);
result<store_config> read_store_config(std::string_view name_or_path);
// Also the path of a directory: all of its files NAME.conf, at least one.
result<std::vector<store_config>> read_store_configs(std::string_view name_or_path);

}  // namespace csnap::service
