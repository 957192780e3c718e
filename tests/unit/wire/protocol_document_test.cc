// SPDX-License-Identifier: BSD-3-Clause
//
// docs/protocol.md is normative, so it must not drift from the code: every message's number, name, field
// types and limits in the document are compared with what the message's `fields` says.
#include "metaserver/wire/frame.h"

#include "tests/unit/wire/agent_message_filler.h"
#include "tests/unit/wire/message_filler.h"

#include <catch2/catch.hpp>

#include <fstream>
#include <map>
#include <sstream>
#include <string>

namespace csnap::wire {
namespace {

using layouts = std::map<std::string, std::vector<std::string>>;  // heading -> types of its fields, in order

// Names, in the document, of the structs that lists are made of.
template <class T>
const char *name_of();
template <>
const char *name_of<volume_entry>() {
  return "volume_entry";
}
template <>
const char *name_of<snapshot_entry>() {
  return "snapshot_entry";
}
template <>
const char *name_of<commit_entry>() {
  return "commit_entry";
}
template <>
const char *name_of<commit_outcome>() {
  return "commit_outcome";
}
template <>
const char *name_of<map_run>() {
  return "map_run";
}
template <>
const char *name_of<recall_entry>() {
  return "recall_entry";
}
template <>
const char *name_of<thawed_volume>() {
  return "thawed_volume";
}
template <>
const char *name_of<snapshot_pair>() {
  return "snapshot_pair";
}
template <>
const char *name_of<diff_run>() {
  return "diff_run";
}
template <>
const char *name_of<hold_tag>() {
  return "hold_tag";
}
template <>
const char *name_of<chunk_run>() {
  return "chunk_run";
}
template <>
const char *name_of<process_entry>() {
  return "process_entry";
}
template <>
const char *name_of<volume_id>() {
  return "u32";
}

class type_lister {
 public:
  explicit type_lister(layouts &all) : all_(all) {}
  std::vector<std::string> types;
  template <class... T>
  void operator()(T &&...values) {
    (types.push_back(type_of(values)), ...);
  }

 private:
  static std::string type_of(bool) { return "bool"; }
  static std::string type_of(std::uint8_t) { return "u8"; }
  static std::string type_of(std::uint32_t) { return "u32"; }
  static std::string type_of(std::uint64_t) { return "u64"; }
  static std::string type_of(errc) { return "error"; }
  static std::string type_of(client_role) { return "role"; }
  static std::string type_of(place_kind) { return "place"; }
  static std::string type_of(copy_fate) { return "fate"; }
  static std::string type_of(full_policy) { return "policy"; }
  template <class Tag, class Rep>
  static std::string type_of(strong_id<Tag, Rep>) {
    return sizeof(Rep) == 4 ? "u32" : "u64";
  }
  static std::string type_of(store_chunk) { return "u64"; }
  static std::string type_of(const epoch_id &) { return "epoch"; }
  static std::string type_of(const unique_id &) { return "bytes 16"; }
  template <std::size_t Limit>
  static std::string type_of(bounded<Limit, std::string>) {
    return "text " + std::to_string(Limit);
  }
  template <std::size_t Limit, class T>
  std::string type_of(bounded<Limit, std::vector<T>>) {
    if constexpr (requires(T & t) { t.fields(*this); }) {
      T item;
      (void)type_of(item);
    }
    return "list " + std::to_string(Limit) + " of " + name_of<T>();
  }
  template <class T>
  requires requires(T &t, type_lister &l) { t.fields(l); }
  std::string type_of(T &v) {
    type_lister inner(all_);
    v.fields(inner);
    all_[name_of<T>()] = inner.types;
    return name_of<T>();
  }

  layouts &all_;
};

layouts layouts_in_code() {
  layouts all;
  for (std::size_t i = 0; i < message_types; ++i) {
    message m = default_message(i);
    type_lister list(all);
    std::visit([&](auto &body) { body.fields(list); }, m);
    all[std::to_string(i + 1) + " " + message_name(m)] = list.types;
  }
  for (std::size_t i = 0; i < agent::message_types; ++i) {
    agent::message m = agent::default_message(i);
    type_lister list(all);
    std::visit([&](auto &body) { body.fields(list); }, m);
    all["agent " + std::to_string(i + 1) + " " + agent::message_name(m)] = list.types;
  }
  return all;
}

// "### N name" or "### name" begins a layout; each table row below it, "| field | type | ...", is one field.
layouts layouts_in_document(const std::string &path) {
  std::ifstream in(path);
  REQUIRE(in.good());
  layouts all;
  std::string heading, line;
  while (std::getline(in, line)) {
    if (line.starts_with("#")) heading = line.starts_with("### ") ? line.substr(4) : "";
    if (line.starts_with("### ")) all[heading] = {};
    if (heading.empty() || !line.starts_with("| ")) continue;
    if (line.starts_with("| field") || line.starts_with("| ---")) continue;
    std::istringstream row(line);
    std::string cell, type;
    std::getline(row, cell, '|'), std::getline(row, cell, '|'), std::getline(row, type, '|');
    all[heading].push_back(type.substr(1, type.size() - 2));
  }
  return all;
}

TEST_CASE("protocol document: messages, fields, types and limits are those of the code") {
  const layouts code = layouts_in_code();
  const layouts document = layouts_in_document(CSNAP_PROTOCOL_DOCUMENT);
  for (const auto &[name, types] : code) {
    INFO("layout of " << name);
    REQUIRE(document.contains(name));
    REQUIRE(document.at(name) == types);
  }
  for (const auto &[name, types] : document) {
    INFO("described but not in the code: " << name);
    REQUIRE(code.contains(name));
  }
}

}  // namespace
}  // namespace csnap::wire
