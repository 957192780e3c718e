// SPDX-License-Identifier: BSD-3-Clause
//
// Fills any message with contents that a seed determines, through the message's own `fields`. Every text and
// list is within its limit, and short, so that whole messages stay small enough to be attacked bit by bit.
#pragma once

#include "metaserver/wire/messages.h"

#include <algorithm>
#include <cstdint>
#include <random>
#include <type_traits>
#include <utility>

namespace csnap::wire {

class message_filler {
 public:
  explicit message_filler(std::uint64_t seed) : random_(seed) {}
  template <class... T>
  void operator()(T &&...values) {
    (fill(values), ...);
  }

  std::uint64_t next() { return random_(); }

 private:
  void fill(bool &v) { v = next() % 2 == 1; }
  template <class Integer>
  requires std::is_unsigned_v<Integer>
  void fill(Integer &v) { v = static_cast<Integer>(next()); }
  void fill(errc &v) { v = static_cast<errc>(1 + next() % 14); }
  void fill(client_role &v) { v = static_cast<client_role>(1 + next() % 2); }
  void fill(copy_fate &v) { v = static_cast<copy_fate>(1 + next() % 3); }
  void fill(full_policy &v) { v = static_cast<full_policy>(1 + next() % 3); }
  void fill(place_kind &v) { v = static_cast<place_kind>(1 + next() % 3); }
  template <class Tag, class Rep>
  void fill(strong_id<Tag, Rep> &v) {
    v.value = static_cast<Rep>(next());
  }
  void fill(store_chunk &v) { v.value = next(); }
  void fill(epoch_id &v) { v.number.value = next(), v.nonce = next(); }
  void fill(unique_id &v) {
    for (auto &b : v.bytes) b = static_cast<std::byte>(next());
  }
  template <std::size_t Limit>
  void fill(bounded<Limit, std::string> v) {
    v.value.resize(next() % (std::min<std::size_t>(Limit, 20) + 1));
    for (char &c : v.value) c = static_cast<char>(next());
  }
  template <std::size_t Limit, class T>
  void fill(bounded<Limit, std::vector<T>> v) {
    v.value.resize(next() % (std::min<std::size_t>(Limit, 4) + 1));
    for (auto &item : v.value) fill(item);
  }
  template <class T>
  requires requires(T &t, message_filler &f) { t.fields(f); }
  void fill(T &v) { v.fields(*this); }

  std::mt19937_64 random_;
};

inline constexpr std::size_t message_types = std::variant_size_v<message_kinds>;

// The message whose number in the variant is `index`, with default contents.
template <std::size_t... Index>
message default_message(std::size_t index, std::index_sequence<Index...>) {
  message out;
  ((Index == index ? (void)out.emplace<Index>() : void()), ...);
  return out;
}
inline message default_message(std::size_t index) {
  return default_message(index, std::make_index_sequence<message_types>{});
}

inline envelope random_envelope(std::size_t index, std::uint64_t seed) {
  message_filler fill(seed);
  envelope e;
  e.request = fill.next();
  e.term = {fill.next(), static_cast<std::uint32_t>(fill.next())};
  e.body = default_message(index);
  std::visit([&](auto &body) { body.fields(fill); }, e.body);
  return e;
}

}  // namespace csnap::wire
