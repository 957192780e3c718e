// SPDX-License-Identifier: BSD-3-Clause
//
// Bytes of a connection as messages, decoded as production does: the header is judged first.
#pragma once

#include "metaserver/wire/frame.h"

#include <functional>
#include <span>
#include <vector>

namespace csnap::simulation {

class frame_stream {
 public:
  void add(std::span<const std::byte> bytes) { input_.insert(input_.end(), bytes.begin(), bytes.end()); }
  // The next whole message; none: wait for more. Errors: what is wrong with the peer.
  result<std::optional<wire::envelope>> next() {
    const std::span<const std::byte> all(input_);
    if (all.size() < wire::frame_header_bytes) return std::optional<wire::envelope>();
    const auto size = wire::frame_size(all.first<wire::frame_header_bytes>());
    if (!size) return size.error();
    if (all.size() < *size) return std::optional<wire::envelope>();
    auto message = wire::decode_frame(all.first(*size));
    if (!message) return message.error();
    input_.erase(input_.begin(), input_.begin() + static_cast<std::ptrdiff_t>(*size));
    return std::optional<wire::envelope>(std::move(*message));
  }

 private:
  std::vector<std::byte> input_;
};

}  // namespace csnap::simulation
