// SPDX-License-Identifier: BSD-3-Clause
//
// The two visitors behind each message's `fields`. Rules of the wire: integers little endian; an id is its
// number; an enumeration or bool one byte (errc two), refused when it is none of the known values; a text has a
// u32 length; a list a u32 count, compared with its limit and with the bytes that are left before anything
// is allocated.
#pragma once

#include "metaserver/base/byte_reader.h"
#include "metaserver/base/byte_writer.h"
#include "metaserver/wire/messages.h"

#include <type_traits>

namespace csnap::wire {

class encoder {
 public:
  explicit encoder(byte_writer &out) : out_(out) {}
  template <class... T>
  void operator()(T &&...values) {
    (put(values), ...);
  }

 private:
  void put(bool v) { out_.u8(v); }
  void put(std::uint8_t v) { out_.u8(v); }
  void put(std::uint32_t v) { out_.u32(v); }
  void put(std::uint64_t v) { out_.u64(v); }
  void put(errc v) { out_.u16(static_cast<std::uint16_t>(v)); }
  template <class Enum>
  requires std::is_enum_v<Enum>
  void put(Enum v) { out_.u8(static_cast<std::uint8_t>(v)); }
  template <class Tag, class Rep>
  void put(strong_id<Tag, Rep> v) {
    out_.integer(v.value);
  }
  void put(store_chunk v) { out_.u64(v.value); }
  void put(const epoch_id &v) { put(v.number), out_.u64(v.nonce); }
  void put(const unique_id &v) { out_.raw(v.bytes); }
  template <std::size_t Limit>
  void put(bounded<Limit, std::string> v) {
    check(v.value.size() <= Limit, "text longer than its limit");
    out_.u32(static_cast<std::uint32_t>(v.value.size()));
    out_.raw(std::as_bytes(std::span(v.value)));
  }
  template <std::size_t Limit, class T>
  void put(bounded<Limit, std::vector<T>> v) {
    check(v.value.size() <= Limit, "list longer than its limit");
    out_.u32(static_cast<std::uint32_t>(v.value.size()));
    for (auto &item : v.value) put(item);
  }
  template <class T>
  requires requires(T &t, encoder &e) { t.fields(e); }
  void put(T &v) { v.fields(*this); }

  byte_writer &out_;
};

class decoder {
 public:
  explicit decoder(byte_reader &in) : in_(in) {}
  template <class... T>
  void operator()(T &&...values) {
    (get(values), ...);
  }

 private:
  void get(bool &v) { v = number_up_to(1) == 1; }
  void get(std::uint8_t &v) { v = in_.u8(); }
  void get(std::uint32_t &v) { v = in_.u32(); }
  void get(std::uint64_t &v) { v = in_.u64(); }
  void get(errc &v) {
    const auto raw = in_.u16();
    if (raw < 1 || raw > static_cast<unsigned>(errc::shutting_down)) in_.fail();
    else v = static_cast<errc>(raw);
  }
  void get(client_role &v) { get_enum(v, 2); }
  void get(copy_fate &v) { get_enum(v, 3); }
  void get(place_kind &v) { get_enum(v, 3); }
  void get(full_policy &v) { get_enum(v, 3); }
  template <class Tag, class Rep>
  void get(strong_id<Tag, Rep> &v) {
    v.value = in_.integer<Rep>();
  }
  void get(store_chunk &v) { v.value = in_.u64(); }
  void get(epoch_id &v) { get(v.number), v.nonce = in_.u64(); }
  void get(unique_id &v) {
    const auto raw = in_.take(v.bytes.size());
    if (in_.ok()) std::copy(raw.begin(), raw.end(), v.bytes.begin());
  }
  template <std::size_t Limit>
  void get(bounded<Limit, std::string> v) {
    const auto raw = in_.take(counted(Limit, 1));
    v.value.assign(reinterpret_cast<const char *>(raw.data()), raw.size());
  }
  template <std::size_t Limit, class T>
  void get(bounded<Limit, std::vector<T>> v) {
    const std::size_t count = counted(Limit, 1);
    v.value.clear();
    for (std::size_t i = 0; i < count && in_.ok(); ++i) get(v.value.emplace_back());
  }
  template <class T>
  requires requires(T &t, decoder &d) { t.fields(d); }
  void get(T &v) { v.fields(*this); }

  std::uint8_t number_up_to(std::uint8_t last) {
    const auto raw = in_.u8();
    if (raw > last) in_.fail();
    return raw;
  }
  template <class Enum>
  void get_enum(Enum &v, std::uint8_t last) {
    const auto raw = number_up_to(last);
    if (raw == 0) in_.fail();
    else if (in_.ok()) v = static_cast<Enum>(raw);
  }
  std::size_t counted(std::size_t limit, std::size_t least_bytes_each) {
    const std::size_t count = in_.u32();
    if (count <= limit && count * least_bytes_each <= in_.remaining()) return count;
    in_.fail();
    return 0;
  }

  byte_reader &in_;
};

}  // namespace csnap::wire
