// SPDX-License-Identifier: BSD-3-Clause
//
// As message_filler.h, for the messages of the agent's protocol.
#pragma once

#include "metaserver/wire/agent_frame.h"
#include "tests/unit/wire/message_filler.h"

namespace csnap::wire::agent {

inline constexpr std::size_t message_types = std::variant_size_v<message>;

template <std::size_t... Index>
message default_message(std::size_t index, std::index_sequence<Index...>) {
  message out;
  ((Index == index ? (void)out.emplace<Index>() : void()), ...);
  return out;
}
inline message default_message(std::size_t index) {
  return default_message(index, std::make_index_sequence<message_types>{});
}
inline message random_message(std::size_t index, std::uint64_t seed) {
  message_filler fill(seed);
  message out = default_message(index);
  std::visit([&](auto &body) { body.fields(fill); }, out);
  return out;
}

}  // namespace csnap::wire::agent
