// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/store/json_scanner.h"

#include <algorithm>

namespace csnap::store {
namespace {

bool is_digit(int c) { return c >= '0' && c <= '9'; }

int hex_value(int c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

void json_scanner::fail(const std::string &text) {
  if (!error_) error_ = error{errc::invalid, "dump, line " + std::to_string(line_) + ": " + text};
}

int json_scanner::peek() {
  if (at_ == end_ && !source_ended_ && ok()) {
    const auto got = source_(buffer_);
    if (!got) error_ = got.error();
    at_ = 0;
    end_ = got && *got <= buffer_.size() ? *got : 0;
    source_ended_ = end_ == 0;
  }
  return at_ < end_ && ok() ? static_cast<unsigned char>(buffer_[at_]) : no_more;
}

int json_scanner::peek_after_blanks() {
  for (;;) {
    const int c = peek();
    if (c == '\n') ++line_;
    if (c != ' ' && c != '\t' && c != '\n' && c != '\r') return c;
    take();
  }
}

void json_scanner::unexpected(const std::string &expected) {
  const int c = peek();
  std::string found = "the end";
  if (c != no_more)
    found =
        c > 0x20 && c < 0x7f ? "'" + std::string(1, static_cast<char>(c)) + "'" : "byte " + std::to_string(c);
  fail("expected " + expected + ", found " + found);
}

void json_scanner::expect(char c) {
  if (peek_after_blanks() == static_cast<unsigned char>(c)) take();
  else unexpected("'" + std::string(1, c) + "'");
}

bool json_scanner::take_if(char c) {
  if (peek_after_blanks() != static_cast<unsigned char>(c)) return false;
  take();
  return true;
}

void json_scanner::key(std::string_view name) {
  expect_text(name);
  expect(':');
}

void json_scanner::expect_text(std::string_view expected) {
  const std::string found = text(64);
  if (ok() && found != expected) fail("expected \"" + std::string(expected) + "\", found \"" + found + "\"");
}

std::uint64_t json_scanner::number(std::uint64_t max) {
  if (!is_digit(peek_after_blanks())) {
    unexpected("a number");
    return 0;
  }
  std::uint64_t value = 0;
  bool too_large = false;
  for (int c = peek(); is_digit(c); take(), c = peek()) {
    const auto digit = static_cast<std::uint64_t>(c - '0');
    too_large |= value > (max - std::min(digit, max)) / 10 || digit > max;
    if (!too_large) value = value * 10 + digit;
  }
  if (too_large) fail("expected a number of at most " + std::to_string(max));
  return ok() ? value : 0;
}

std::int64_t json_scanner::signed_number() {
  const bool negative = take_if('-');
  const auto value = static_cast<std::int64_t>(number(static_cast<std::uint64_t>(INT64_MAX)));
  return negative ? -value : value;
}

bool json_scanner::flag() {
  const bool value = peek_after_blanks() == 't';
  for (const char c : value ? std::string_view("true") : std::string_view("false")) {
    if (peek() != static_cast<unsigned char>(c)) {
      unexpected("true or false");
      return false;
    }
    take();
  }
  return value;
}

// What follows a backslash: one byte.
unsigned json_scanner::escaped() {
  const int c = peek();
  if (c == '"' || c == '\\' || c == '/') {
    take();
    return static_cast<unsigned>(c);
  }
  if (c != 'u') {
    unexpected("an escaped byte");
    return 0;
  }
  take();
  unsigned value = 0;
  for (int i = 0; i < 4; ++i) {
    const int digit = hex_value(peek());
    if (digit < 0) {
      unexpected("four hexadecimal digits");
      return 0;
    }
    take();
    value = value * 16 + static_cast<unsigned>(digit);
  }
  if (value > 0xff) fail("expected an escaped byte, found a character above 255");
  return value;
}

std::string json_scanner::text(std::size_t length_max) {
  std::string out;
  expect('"');
  while (ok()) {
    const int c = peek();
    if (c == no_more || c < 0x20) {
      unexpected("the rest of a text");
      break;
    }
    take();
    if (c == '"') return out;
    out += static_cast<char>(c == '\\' ? escaped() : static_cast<unsigned>(c));
    if (out.size() > length_max) fail("expected a text of at most " + std::to_string(length_max) + " bytes");
  }
  return {};
}

bool json_scanner::next_element(bool &first) {
  if (first) {
    first = false;
    expect('[');
    return !take_if(']') && ok();
  }
  if (take_if(']')) return false;
  expect(',');
  return ok();
}

void json_scanner::expect_end() {
  if (peek_after_blanks() != no_more) unexpected("the end");
}

}  // namespace csnap::store
