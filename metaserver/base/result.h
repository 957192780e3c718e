// SPDX-License-Identifier: BSD-3-Clause
//
// result<T>: the outcome of anything that the world can make fail. An error has a code, by which
// programs decide, and one line of text, which a person reads. Library code returns errors and never
// logs; the caller that ends an error's way logs it once.
#pragma once

#include <boost/system/result.hpp>

#include <cstdio>
#include <cstdlib>
#include <iosfwd>
#include <string>
#include <utility>

namespace csnap {

// The numbers are also wire values (docs/protocol.md): append only.
enum class errc : unsigned short {
  io = 1,            // a device or file failed
  corrupt = 2,       // bytes read are not what was written: block, expected and found are in the text
  no_space = 3,      // the store (or its metadata area) is full
  not_found = 4,     // no such volume, snapshot, session ...
  exists = 5,        // the name is taken
  invalid = 6,       // bad input: a name, a range, a message
  busy = 7,          // in use, or another barrier is on: try again
  not_master = 8,    // this server does not serve; the text names the master's address if known
  gone = 9,          // the session has expired: say hello again
  timed_out = 10,    // a deadline passed; the text names who did not answer
  unsupported = 11,  // not offered (by this version, device ...)
  stale = 12,        // of an older term or epoch
  refused = 13,      // a limit or a right: not now, not to you
  shutting_down = 14,
};

// "io", "corrupt", ... for messages and JSON.
const char *errc_name(errc code);

struct error {
  errc code;
  std::string text;  // one line, lower case, no full stop
};

[[noreturn]] inline void throw_exception_from_error(const error &e, const boost::source_location &) {
  std::fprintf(stderr, "csnap: bug: value() of an error: %s\n", e.text.c_str());
  std::abort();
}

// For tests, which show what they compare.
template <class Char, class Traits>
std::basic_ostream<Char, Traits> &operator<<(std::basic_ostream<Char, Traits> &out, const error &e) {
  return out << errc_name(e.code) << ": " << e.text.c_str();
}

// boost::system::result is not nodiscard; this is.
template <class T = void>
struct [[nodiscard]] result : boost::system::result<T, error> {
  using base = boost::system::result<T, error>;
  using base::base;
};

// Preferred to boost's, which wants every T to have an operator<<.
template <class Char, class Traits, class T>
std::basic_ostream<Char, Traits> &operator<<(std::basic_ostream<Char, Traits> &out, const result<T> &r) {
  if (!r) return out << r.error();
  return out << "a value";
}

inline error fail(errc code, std::string text) { return error{code, std::move(text)}; }

}  // namespace csnap
