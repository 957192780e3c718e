// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/cli/outcome.h"

#include <cstdio>

namespace csnap::cli {

void print_error_line(const std::string &text) {
  std::string line = "csnap: ";
  for (const char c : text) line += static_cast<unsigned char>(c) < ' ' ? ' ' : c;
  std::fprintf(stderr, "%s\n", line.c_str());
}

exit_status failed(const error &why) {
  print_error_line(why.text.empty() ? errc_name(why.code) : why.text);
  return exit_status::failed;
}

exit_status misused(const std::string &what) {
  print_error_line(what);
  return exit_status::wrong_usage;
}

}  // namespace csnap::cli
