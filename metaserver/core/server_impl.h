// SPDX-License-Identifier: BSD-3-Clause
//
// The server's state and its message handlers; internal to metaserver/core. The tables are passive, and each
// says in its header what it holds; here is what happens when. The handlers are in files by subject:
//
//   server_core.cc       the inputs, who may send what, what follows from each input
//   session_life.cc      hello, renewal, expiry, goodbye, death, grace
//   opening.cc           volumes and snapshots opened and closed
//   copy_out.cc          reserve, commit, unshared_query
//   snapshot_maps.cc     map, drop, recalls
//   snapshot_create.cc   create and its barrier
//   snapshot_delete.cc   remove, rename, dying and dead snapshots
//   full_store.cc        what happens when there is no room: waiting, calling back, giving up, enlarging
//   process_words.cc     which processes have ended, by the word of a node's agent
//   administration.cc    policies, priorities, holds
//   listings.cc          list, diff
//   status_report.cc     status for people
#pragma once

#include "metaserver/core/barrier_table.h"
#include "metaserver/core/connection_table.h"
#include "metaserver/core/delegation_table.h"
#include "metaserver/core/deletion_table.h"
#include "metaserver/core/durable_queue.h"
#include "metaserver/core/pending_commits.h"
#include "metaserver/core/planted_mistakes.h"
#include "metaserver/core/reaper.h"
#include "metaserver/core/room_queue.h"
#include "metaserver/core/server_core.h"
#include "metaserver/core/session_table.h"

#include <deque>
#include <functional>
#include <set>

namespace csnap::core {

struct server_core::impl {
  impl(store::engine &engine, core_options options, boottime_ms now);

  // ---- inputs (server_core.cc) ----
  void message(connection_id from, const wire::envelope &what);
  void lost(connection_id who);
  void at(boottime_ms now);  // notes the time, and whose lease is over
  void follow_up();          // everything that what just happened allows
  bool has_chores() const;
  boottime_ms next_tick() const;
  core_status status() const;

  // ---- plumbing ----
  void stop(const error &why);
  result<record_seq> append(const store::record &r);  // stops on any error but no_space
  void answer(const requester &to, wire::message what) {
    connections_.reply(to.from, to.request, std::move(what));
  }
  void refuse(const requester &to, errc code, std::string text);
  void answer_when_durable(const requester &to, record_seq record, wire::message what);
  // The answer rests on whatever the engine holds now.
  void answer_durably(const requester &to, wire::message what);
  void breach(const requester &by, std::string what) { connections_.hang_up(by.from, std::move(what)); }
  session &session_of(const requester &r);
  void tell(const session &s, wire::message what);  // nothing while it is not connected
  std::uint64_t chunks_of(volume_id volume) const;
  // An administrator's request that was carried out: its answer was lost.
  bool was_done(const unique_id &request) const {
    return engine_.request_done(request) && !planted_.forget_requests;
  }
  bool has_volume(volume_id volume) const { return engine_.volumes().contains(volume); }
  bool can_read(const session &s, volume_id volume, snapshot_number number) const;
  const store::snapshot_info *live_snapshot(volume_id volume, snapshot_number number) const;
  // The newest snapshot that keeps chunks shared; 0: none does.
  snapshot_number newest_sharing(volume_id volume) const;

  // ---- session_life.cc ----
  void hello(connection_id from, const wire::envelope &what, const wire::hello &h);
  void open_session(const requester &who, const wire::hello &h);
  std::optional<session_id> session_unknown_to(const wire::hello &h) const;
  void resume_session(const requester &who, const wire::hello &h, record_seq rests_on);
  record_seq record_longer_lease(store::session_info info);
  void welcome_session(const requester &who, record_seq rests_on);
  boottime_ms lease_end_from_now() const;
  void void_promises(session &s);  // delegations, recalls, open snapshots: none of them counts
  void expire(session &s);
  void end_session(session_id id);  // with proof
  void leave_barriers(session_id id);
  bool close_one_session();  // chore
  void update_grace();
  void after_grace(std::function<void()> then);
  void on(const requester &who, const wire::renew &m);
  void on(const requester &who, const wire::goodbye &m);

  // ---- process_words.cc ----
  void on(const requester &who, const wire::processes &m);
  void on(const requester &who, const wire::processes_ended &m);

  // ---- opening.cc ----
  void on(const requester &who, const wire::open_volume &m);
  void on(const requester &who, const wire::close_volume &m);
  void on(const requester &who, const wire::open_snapshot &m);
  void on(const requester &who, const wire::close_snapshot &m);
  void on(const requester &who, const wire::snapshot_gone_answer &m);
  void release_snapshot(session &s, const snapshot_key &snapshot);
  bool may_have_shared_chunks(volume_id volume) const;

  // ---- copy_out.cc ----
  struct commit_plan;
  void on(const requester &who, const wire::reserve &m);
  void on(const requester &who, const wire::commit &m);
  void on(const requester &who, const wire::unshared_query &m);
  result<> grant(const requester &who, const wire::reserve &m);
  bool regrant_lost(const requester &who, const wire::reserve &m);
  const char *commit_breach(const wire::commit &m) const;
  result<> decide(commit_plan &plan, const wire::commit_entry &entry) const;
  bool carry_out(commit_plan &plan, const requester &who, const wire::commit &m);
  const store::reservation_info *reservation_of(const commit_plan &plan,
                                                const wire::commit_entry &entry) const;
  void send_recalls(pending_commits::batch_no batch, const delegation_table &delegations);
  result<std::string> unshared_bits(const wire::unshared_query &m) const;

  // ---- snapshot_maps.cc ----
  void on(const requester &who, const wire::map &m);
  void on(const requester &who, const wire::drop &m);
  void on(const requester &who, const wire::recall_answer &m);
  result<std::vector<wire::map_run>> segment_map(volume_id volume, snapshot_number number,
                                                 chunk_no first) const;
  std::optional<record_seq> undurable_in_segment(volume_id volume, chunk_no first) const;

  // ---- snapshot_create.cc ----
  void on(const requester &who, const wire::create &m);
  void on(const requester &who, const wire::freeze_answer &m);
  std::optional<error> create_is_refused(const wire::create &m, std::vector<volume_id> *volumes);
  void answer_created_again(const requester &who, const wire::create &m);
  void freeze_when_possible(barrier &b);
  void join_barriers(session &s);  // a session came back: what it missed
  bool record_one_barrier();       // chore
  void finish_barrier(barrier_id id, std::int64_t created_unix_ms, snapshot_number number);
  void abort_barrier(barrier_id id, error why);
  void abort_late_barriers();
  std::string silent_sessions(const barrier &b);
  void thaw_participants(const barrier &b);
  bool needs_flush(const barrier &b) const;

  // ---- snapshot_delete.cc ----
  void on(const requester &who, const wire::remove &m);
  void on(const requester &who, const wire::rename &m);
  result<snapshot_key> find_named(const wire::snapshot_pair &name) const;
  void announce_when_durable(const snapshot_key &snapshot, record_seq deleted);
  void announce_deletion(const snapshot_key &snapshot);
  bool end_one_snapshot();  // chore

  // ---- full_store.cc ----
  full_policy policy_of(volume_id volume) const;
  void no_room(const requester &who, volume_id volume, wire::message what, const error &why);
  void drop_lost_waits();
  bool can_serve(const waiting_request &w) const;
  bool serve_one_waiting();  // chore
  bool room_is_coming() const;
  void make_room();
  void call_back_reservations();
  bool sacrifice_one();
  const store::snapshot_info *next_to_sacrifice() const;
  void refuse_waiting_origins();
  void on(const requester &who, const wire::return_chunks &m);
  void return_run(session &s, const wire::chunk_run &run);
  void on(const requester &who, const wire::resize &m);
  void note_watermark();

  // ---- administration.cc ----
  void on(const requester &who, const wire::set_volume &m);
  void on(const requester &who, const wire::set_snapshot &m);
  void on(const requester &who, const wire::hold &m);
  void on(const requester &who, const wire::release &m);
  std::optional<snapshot_key> named_or_refused(const requester &who, const wire::snapshot_pair &name);
  void change(const requester &who, const store::record &r);

  // ---- listings.cc ----
  void on(const requester &who, const wire::list &m);
  void on(const requester &who, const wire::diff &m);
  result<std::pair<volume_id, std::pair<snapshot_number, snapshot_number>>> diff_range(const requester &who,
                                                                                       const wire::diff &m);

  // What only servers send, and status and sessions, which the owner answers.
  template <class Message>
  void on(const requester &who, const Message &) {
    breach(who, "a message that is not for this server");
  }

  // ---- status_report.cc ----
  session_status describe(const session &s) const;
  std::vector<std::string> conditions() const;

  store::engine &engine_;
  core_options options_;
  planted_mistakes planted_;
  boottime_ms now_;
  bool stopped_ = false;
  bool in_grace_ = false;
  boottime_ms grace_end_;
  record_seq lease_bound_;  // the record of the longest lease granted: rule 10
  connection_table connections_;
  durable_queue durable_;
  session_table sessions_;
  delegation_table delegations_;
  pending_commits pending_;
  barrier_table barriers_;
  deletion_table deletions_;
  reaper reaper_;
  room_queue room_;
  std::deque<store::session_closed> to_close_;  // ended with proof, not appended yet
  // Volumes of which a writer was killed: nobody has flushed what it completed. In the store from when the
  // session is closed there, so that no later master forgets it.
  std::set<volume_id> unflushed_;
  std::vector<std::function<void()>> after_grace_;
  std::uint64_t commits_ = 0, chunks_copied_ = 0, recalls_sent_ = 0, snapshots_created_ = 0;
  std::uint64_t barriers_failed_ = 0;
  histogram commit_chunks_ = core_status().commit_chunks;
  histogram create_pause_seconds_ = core_status().create_pause_seconds;
};

}  // namespace csnap::core
