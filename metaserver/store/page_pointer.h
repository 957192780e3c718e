// SPDX-License-Identifier: BSD-3-Clause
//
// Pointers as bytes, the same in roots, inner pages and directories of maps.
#pragma once

#include "metaserver/base/byte_reader.h"
#include "metaserver/base/byte_writer.h"
#include "metaserver/store/disk_format.h"

namespace csnap::store {

inline void put_pointer(byte_writer &out, const page_pointer &p) {
  out.u64(p.block);
  out.u64(p.generation);
  out.u64(p.term.counter);
  out.u32(p.term.node);
}

inline page_pointer get_pointer(byte_reader &in) {
  page_pointer p;
  p.block = in.u64();
  p.generation = in.u64();
  p.term.counter = in.u64();
  p.term.node = in.u32();
  return p;
}

}  // namespace csnap::store
