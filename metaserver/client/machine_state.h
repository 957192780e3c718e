// SPDX-License-Identifier: BSD-3-Clause
//
// What a client_machine is made of. Its public calls are in client_machine.cc, what messages of the server do
// in dispatch.cc, and what a new connection or session means in reconnect.cc.
#pragma once

#include "metaserver/client/client_machine.h"
#include "metaserver/client/open_snapshots.h"
#include "metaserver/client/planted_mistakes.h"
#include "metaserver/client/request_table.h"
#include "metaserver/client/reservation_pool.h"
#include "metaserver/client/session_keeper.h"
#include "metaserver/client/write_gates.h"

namespace csnap::client {

struct client_machine::impl {
  explicit impl(machine_options o)
      : options(std::move(o)),
        planted(planted_mistakes::parse(options.planted)),
        session(planted),
        gates(planted),
        pool(options.reserve_chunks),
        snapshots(options.map_cache_bytes, options.maps_min, planted) {}

  const machine_options options;
  const planted_mistakes planted;
  session_keeper session;
  request_table requests;
  write_gates gates;
  reservation_pool pool;
  open_snapshots snapshots;
  std::vector<std::vector<std::byte>> outgoing;
  std::uint64_t changes = 0;
  std::uint64_t hello_id = 0, renewal_id = 0;  // under way as; 0: not
  bool leaving = false;                        // goodbye was said: nothing new begins

  void emit(std::uint64_t request, const wire::message &what);
  void say(const wire::message &what) { emit(0, what); }
  void send_requests();
  void send_drops();
  // What is used without the lock has a copy of the lease.
  void lease_may_have_changed() {
    gates.set_lease(session.lease_until());
    snapshots.set_lease(session.lease_until());
  }

  // reconnect.cc
  void drop_own_requests();
  void say_hello(boottime_ms now);
  result<> greeted(const wire::envelope &what, boottime_ms now, std::string *hint);
  void reopen_everything();
  void begin_new_session();
  result<> refuse(const wire::failed &f, std::string *hint);

  // dispatch.cc: messages of the server ...
  result<> take_in(const wire::envelope &what, boottime_ms now, std::string *hint);
  result<> from_server(const wire::message &what);
  result<> on_freeze(const wire::freeze &f);
  result<> on_recall(const wire::recall &r);
  void on_snapshot_gone(const wire::snapshot_gone &g);
  void on_reclaim();
  // ... and answers
  result<> answered(std::uint64_t wire_id, const wire::message &body, boottime_ms now, std::string *hint);
  result<> renewal_answered(const wire::message &body, boottime_ms now, std::string *hint);
  result<> apply(ticket t, pending_request &request, const wire::message &body, boottime_ms now);
  result<> volume_answered(ticket t, pending_request &request, const wire::message &body);
  result<> volume_reopened(const pending_request &request, const wire::message &body);
  result<> snapshot_answered(ticket t, pending_request &request, const wire::message &body);
  result<> snapshot_reopened(const pending_request &request, const wire::message &body);
  result<> commit_answered(ticket t, const pending_request &request, const wire::message &body);
  result<> reserve_answered(const wire::reserve &asked, const wire::message &body, boottime_ms now);
  result<> query_answered(const wire::unshared_query &asked, const wire::message &body);
  result<> map_answered(const wire::map &asked, const wire::message &body, boottime_ms now);
  result<> open_gate(const std::string &name, const wire::volume_opened &o);

  // Closes what nobody has open, once no open request is under way that could be of it: a close that overtook
  // the answer of an open would leave a volume open here and closed at the server, outside its barriers.
  void close_unused();
  std::uint64_t chunks_of(std::uint64_t size_bytes) const;
};

}  // namespace csnap::client
