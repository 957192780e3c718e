// SPDX-License-Identifier: BSD-3-Clause
//
// The creates under way. One barrier per volume at a time, all volumes of a group or none. Passive.
//
//   waiting    during grace, or while a session that may write cannot be reached: nobody is frozen for it
//   freezing   every possible writer was asked to stop and flush; who opens a volume meanwhile joins (rule 6)
//   recording  all have answered, the snapshot's record is queued: the server's epoch has moved
#pragma once

#include "metaserver/core/server_core.h"

#include <map>
#include <span>
#include <vector>

namespace csnap::core {

struct barrier {
  enum class phase : std::uint8_t { waiting, freezing, recording };
  barrier_id id;
  phase now = phase::waiting;
  wire::create what;
  std::vector<volume_id> volumes;  // in the order of what.members
  connection_id requester;         // of the newest repetition of the request
  std::uint64_t request{};
  boottime_ms deadline, frozen_at;
  std::map<session_id, bool> answered;  // the participants

  bool all_answered() const;
  bool freezes() const { return now != phase::waiting; }
};

class barrier_table {
 public:
  barrier &begin(wire::create what, std::vector<volume_id> volumes);
  void end(barrier_id id) { barriers_.erase(id); }
  barrier *find(barrier_id id);
  barrier *of_volume(volume_id volume);
  barrier *of_request(const unique_id &request);
  std::map<barrier_id, barrier> &all() { return barriers_; }
  const std::map<barrier_id, barrier> &all() const { return barriers_; }
  // The session is gone for good. Returns the barriers whose freeze it had not answered.
  std::vector<barrier_id> leave_all(session_id session);
  // Back to `waiting`, under another id: what was answered so far does not count.
  void begin_anew(barrier_id id);
  boottime_ms next_deadline(boottime_ms otherwise) const;

 private:
  barrier_id last_;
  std::map<barrier_id, barrier> barriers_;
};

}  // namespace csnap::core
