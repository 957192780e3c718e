// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/base/ids.h"

namespace csnap {

std::string to_text(const unique_id &id) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string out;
  for (std::size_t i = 0; i < id.bytes.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) out += '-';
    const unsigned b = std::to_integer<unsigned>(id.bytes[i]);
    out += digits[b >> 4];
    out += digits[b & 15];
  }
  return out;
}

std::string to_text(const term_id &term) {
  return std::to_string(term.counter) + "." + std::to_string(term.node);
}

}  // namespace csnap
