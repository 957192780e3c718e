// SPDX-License-Identifier: BSD-3-Clause
//
// The wire format written a second time from docs/protocol.md, without the product's encoder: an oracle for
// it, and the way to make frames that it would never make (too long, truncated, of unknown type).
#pragma once

#include "metaserver/base/crc32c.h"
#include "metaserver/wire/messages.h"

#include <cstdint>
#include <optional>
#include <span>
#include <type_traits>
#include <vector>

namespace csnap::wire {

using bytes = std::vector<std::byte>;

class plain_payload {
 public:
  // The text or list with this number (from 0, lists' own items not counted) gets `length` default items
  // instead of its own contents. Nothing is checked.
  std::optional<std::size_t> resized;
  // ... of what length: the limit plus this.
  std::size_t beyond_limit = 0;

  template <class... T>
  void operator()(T &&...values) {
    (put(values), ...);
  }
  bytes out;
  std::size_t bounded_fields = 0;

 private:
  template <class Integer>
  void number(Integer v, std::size_t size) {
    for (std::size_t i = 0; i < size; ++i)
      out.push_back(static_cast<std::byte>(static_cast<std::uint64_t>(v) >> (8 * i)));
  }
  template <class T>
  requires(std::is_integral_v<T> || std::is_enum_v<T>) void put(T v) { number(v, sizeof(T)); }
  template <class Tag, class Rep>
  void put(strong_id<Tag, Rep> v) {
    number(v.value, sizeof(Rep));
  }
  void put(store_chunk v) { number(v.value, 8); }
  void put(const epoch_id &v) { number(v.number.value, 8), number(v.nonce, 8); }
  void put(const unique_id &v) { out.insert(out.end(), v.bytes.begin(), v.bytes.end()); }
  void put(char v) { out.push_back(static_cast<std::byte>(v)); }
  template <std::size_t Limit, class Sequence>
  void put(bounded<Limit, Sequence> v) {
    Sequence contents = v.value;
    const bool outermost = depth_ == 0;
    if (outermost && resized == bounded_fields) contents.assign(Limit + beyond_limit, {});
    if (outermost) ++bounded_fields;
    ++depth_;
    number(contents.size(), 4);
    for (auto &item : contents) put(item);
    --depth_;
  }
  template <class T>
  requires requires(T &t, plain_payload &p) { t.fields(p); }
  void put(T &v) { v.fields(*this); }

  int depth_ = 0;
};

inline bytes plain_frame(std::uint16_t type, const envelope &head, const bytes &payload) {
  bytes out;
  const auto number = [&](std::uint64_t v, std::size_t size) {
    for (std::size_t i = 0; i < size; ++i) out.push_back(static_cast<std::byte>(v >> (8 * i)));
  };
  number(0x504e5343, 4), number(3, 2), number(type, 2), number(payload.size(), 4), number(0, 4);
  number(head.request, 8), number(head.term.counter, 8), number(head.term.node, 4), number(0, 4);
  out.insert(out.end(), payload.begin(), payload.end());
  const std::uint32_t sum = crc32c(out);
  for (std::size_t i = 0; i < 4; ++i) out[12 + i] = static_cast<std::byte>(sum >> (8 * i));
  return out;
}

inline bytes plain_frame(const envelope &e) {
  plain_payload payload;
  message body = e.body;
  std::visit([&](auto &m) { m.fields(payload); }, body);
  return plain_frame(static_cast<std::uint16_t>(body.index() + 1), e, payload.out);
}

}  // namespace csnap::wire
