// SPDX-License-Identifier: BSD-3-Clause
//
// The messages between a node's agent and its local clients (the plugin, the tool, servers of this node, what
// runs the cluster). docs/protocol.md is normative. A connection's requests are answered in their order, each
// with the type named after "->" or with `refused`; server_at and server_gone may come at any time after
// `watching`.
#pragma once

#include "metaserver/base/ids.h"
#include "metaserver/base/names.h"
#include "metaserver/base/result.h"
#include "metaserver/wire/messages.h"

#include <string>
#include <variant>

namespace csnap::wire::agent {

inline constexpr std::uint16_t protocol_version = 1;
inline constexpr std::size_t frame_payload_bytes_max = 64u << 10;
inline constexpr std::size_t report_text_max = 60000;

// -> watching, then at once server_at or server_gone, and one of them again at each change. Which master is
// meant is said by the instance's name, by the store, or by both; by neither where the agent has one instance.
struct watch {
  std::string instance;
  unique_id store;  // zero: any
  void fields(auto &f) { f(limit<name_length_max>(instance), store); }
};
struct watching {
  std::string instance;
  void fields(auto &f) { f(limit<name_length_max>(instance)); }
};
// The master of this term answered at this address.
struct server_at {
  std::uint64_t term_counter{};
  std::uint32_t term_node{};
  std::string address;
  void fields(auto &f) { f(term_counter, term_node, limit<address_max>(address)); }
};
// No master is known to live. What is connected to one may stay so.
struct server_gone {
  void fields(auto &) {}
};
// -> done. An election engine's word: the master is there; an empty address: there is none. It is taken back
// when the connection ends.
struct announce {
  std::string instance;
  unique_id store;
  std::uint64_t term_counter{};
  std::uint32_t term_node{};
  std::string address;
  void fields(auto &f) {
    f(limit<name_length_max>(instance), store, term_counter, term_node, limit<address_max>(address));
  }
};
// -> done. The instance's server runs on this node from now on, or ran already.
struct instance_start {
  std::string instance;
  void fields(auto &f) { f(limit<name_length_max>(instance)); }
};
struct health {
  void fields(auto &) {}
};  // -> report
struct report {
  std::string json;
  void fields(auto &f) { f(limit<report_text_max>(json)); }
};
struct done {
  void fields(auto &) {}
};
struct refused {
  errc code = errc::invalid;
  std::string text;
  void fields(auto &f) { f(code, limit<error_text_max>(text)); }
};

// The type number on the wire is the place here plus one: append only.
using message = std::variant<watch, watching, server_at, server_gone, announce, instance_start, health,
                             report, done, refused>;

}  // namespace csnap::wire::agent
