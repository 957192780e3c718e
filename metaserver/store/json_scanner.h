// SPDX-License-Identifier: BSD-3-Clause
//
// Reads the JSON of a dump piece by piece: a dump may be longer than memory. It is told what has to come, in
// the order in which dump writes it; anything else is an error that names the line. The first error sticks:
// from then on every read gives nothing and takes nothing.
#pragma once

#include "metaserver/base/result.h"
#include "metaserver/store/offline.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace csnap::store {

class json_scanner {
 public:
  explicit json_scanner(const dump_source &source) : source_(source), buffer_(piece_bytes) {}

  bool ok() const { return !error_; }
  const error &why() const { return *error_; }
  // "dump, line 12: TEXT"
  void fail(const std::string &text);

  void expect(char c);              // blanks before it are skipped
  bool take_if(char c);             // takes it if it comes next
  void key(std::string_view name);  // "name":
  std::uint64_t number(std::uint64_t max = ~std::uint64_t{0});
  std::int64_t signed_number();
  bool flag();
  std::string text(std::size_t length_max);
  void expect_text(std::string_view expected);
  void expect_end();

  // Each element of an array: while (in.next_element(first)) ... ; `first` begins true.
  bool next_element(bool &first);

 private:
  static constexpr std::size_t piece_bytes = 32u << 10;
  static constexpr int no_more = -1;
  int peek();  // the next byte, or no_more
  int peek_after_blanks();
  void take() { ++at_; }
  void unexpected(const std::string &expected);
  unsigned escaped();

  const dump_source &source_;
  std::vector<char> buffer_;
  std::size_t at_ = 0, end_ = 0;
  bool source_ended_ = false;
  std::uint64_t line_ = 1;
  std::optional<error> error_;
};

}  // namespace csnap::store
