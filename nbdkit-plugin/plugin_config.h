// SPDX-License-Identifier: BSD-3-Clause
//
// The parameters of `nbdkit csnap`, as nbdkit hands them over one by one. Paths become absolute at once, for
// nbdkit changes to / when it becomes a daemon.
#pragma once

#include "metaserver/client/endpoint.h"
#include "nbdkit-plugin/volume_client.h"

#include <chrono>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace csnap::plugin {

enum class parallel_mode : std::uint8_t {
  on,
  off,
  automatic,  // where nbdkit survives a client that dies with requests in flight (1.34 and later)
};

struct plugin_config {
  std::vector<client::endpoint> servers;
  std::string agent, instance;  // path of its socket, instead of servers
  std::string store;
  std::string volume;  // the only one that is served; empty: all
  std::string
      config;  // NAME or path of the store's configuration, whose lines count where no parameter is given
  std::set<std::string, std::less<>> given;
  std::map<std::string, std::string> devices;  // by volume
  std::chrono::milliseconds timeout{0};        // 0: wait for ever
  parallel_mode parallel = parallel_mode::on;
  planted_mistakes planted;
  std::vector<std::string> planted_in_machine;

  // Errors: invalid, unsupported; one line for the person who typed it.
  result<> set(std::string_view key, std::string_view value);
  // After the last parameter: adds what is in the configuration.
  result<> complete();

 private:
  result<> add_configuration();
  result<> check_complete() const;
};

extern const char *const config_help;

}  // namespace csnap::plugin
