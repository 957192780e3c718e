// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/base/result.h"

namespace csnap {

const char *errc_name(errc code) {
  switch (code) {
    case errc::io: return "io";
    case errc::corrupt: return "corrupt";
    case errc::no_space: return "no_space";
    case errc::not_found: return "not_found";
    case errc::exists: return "exists";
    case errc::invalid: return "invalid";
    case errc::busy: return "busy";
    case errc::not_master: return "not_master";
    case errc::gone: return "gone";
    case errc::timed_out: return "timed_out";
    case errc::unsupported: return "unsupported";
    case errc::stale: return "stale";
    case errc::refused: return "refused";
    case errc::shutting_down: return "shutting_down";
  }
  return "unknown";
}

}  // namespace csnap
