// SPDX-License-Identifier: BSD-3-Clause
//
// Which errno nbdkit is told for an error. The NBD protocol has a closed list, and nbdkit turns everything
// outside of it into EINVAL, which clients take for their own mistake.
#pragma once

#include "metaserver/base/result.h"

#include <cerrno>

namespace csnap::plugin {

inline int nbd_errno(errc code) {
  switch (code) {
    case errc::no_space: return ENOSPC;
    case errc::invalid: return EINVAL;
    case errc::shutting_down: return ESHUTDOWN;
    case errc::io:
    case errc::corrupt:
    case errc::not_found:
    case errc::exists:
    case errc::busy:
    case errc::not_master:
    case errc::gone:
    case errc::timed_out:
    case errc::unsupported:
    case errc::stale:
    case errc::refused: return EIO;
  }
  return EIO;
}

}  // namespace csnap::plugin
