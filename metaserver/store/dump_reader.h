// SPDX-License-Identifier: BSD-3-Clause
//
// The elements of a dump (docs/format.md, "Dump"), each in the order in which offline_dump.cc writes its
// fields. Bounds of single values are checked here; what they say together is restore's business.
#pragma once

#include "metaserver/store/catalog.h"
#include "metaserver/store/disk_format.h"
#include "metaserver/store/json_scanner.h"

namespace csnap::store {

struct dump_head {
  geometry shape;
  term_id term;
  record_seq last_record;
  std::uint64_t exceptions{};
  snapshot_number last_snapshot;
  session_id last_session;
  reservation_id last_reservation;
  std::uint64_t request_counter{};
  settings values;
};

// From the beginning to the settings. All of these leave errors in the scanner.
dump_head read_dump_head(json_scanner &in);
// ,"NAME":  before the next list
void read_list_key(json_scanner &in, const char *name);
volume_info read_dump_volume(json_scanner &in);
snapshot_info read_dump_snapshot(json_scanner &in);
session_info read_dump_session(json_scanner &in);  // without its secret
reservation_info read_dump_reservation(json_scanner &in);
unique_id read_dump_id(json_scanner &in);
exception read_dump_exception(json_scanner &in);  // [chunk, number, place]

}  // namespace csnap::store
