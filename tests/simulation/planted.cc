// SPDX-License-Identifier: BSD-3-Clause
#include "tests/simulation/planted.h"

#include "tests/simulation/cluster.h"

#include <algorithm>

namespace csnap::simulation {
namespace {

using where = planted_bug::where;

planted_bug core(std::string name, std::string what) {
  planted_bug b{std::move(name), where::core, std::move(what), {}, {}, {}};
  b.in_server = [name = b.name](server_setup &s) { s.planted_in_core = {name}; };
  return b;
}
planted_bug machine(std::string name, std::string what) {
  planted_bug b{std::move(name), where::machine, std::move(what), {}, {}, {}};
  b.in_node = [name = b.name](node_setup &n) { n.planted_in_machine = {name}; };
  return b;
}
planted_bug plugin_bug(std::string name, bool plugin::planted_mistakes::*which, std::string what) {
  planted_bug b{std::move(name), where::plugin, std::move(what), {}, {}, {}};
  b.in_node = [which](node_setup &n) { n.planted.*which = true; };
  return b;
}
planted_bug edge(std::string name, bool server::planted_mistakes::*which, std::string what) {
  planted_bug b{std::move(name), where::edge, std::move(what), {}, {}, {}};
  b.in_server = [which](server_setup &s) { s.planted.*which = true; };
  return b;
}
planted_bug engine_bug(std::string name, std::string what) {
  planted_bug b{std::move(name), where::engine, std::move(what), {}, {}, {}};
  b.in_server = [name = b.name](server_setup &s) { s.planted_in_engine = {name}; };
  return b;
}
// Each of the two is the other's second defence.
planted_bug pair_in_engine(const char *one, const char *other, std::string what) {
  planted_bug b{std::string(one) + "+" + other, where::engine, std::move(what), {}, {}, {}};
  b.in_server = [one, other](server_setup &s) { s.planted_in_engine = {one, other}; };
  return b;
}
planted_bug server_bug(std::string name, bool server_setup::*which, std::string what) {
  planted_bug b{std::move(name), where::server_world, std::move(what), {}, {}, {}};
  b.in_server = [which](server_setup &s) { s.*which = true; };
  return b;
}
planted_bug disk_bug(std::string name, bool disk_lies::*which, bool origins, bool store, bool metadata,
                     std::string what) {
  planted_bug b{std::move(name), where::world, std::move(what), {}, {}, {}};
  b.in_world = [which, origins, store, metadata](cluster &c) {
    if (origins)
      for (const auto &each : c.origins) each->lies.*which = true, each->image.remember_versions(0);
    if (store && c.separate_metadata) c.store->lies.*which = true;
    if (metadata && c.separate_metadata) c.separate_metadata->lies.*which = true;
  };
  return b;
}

std::vector<planted_bug> make_list() {
  std::vector<planted_bug> out;
  const auto add = [&](planted_bug b) { out.push_back(std::move(b)); };
  add(core("loser_at_once", "who lost a race is answered before the winner's copy is safe"));
  add(core("no_recall_wait", "copy-outs are answered before their recalls are"));
  add(core("holders_early", "the holders are computed when the record is queued"));
  add(core("place_before_durable", "maps show exceptions that a crash could still undo"));
  add(core("renew_expired", "an expired lease is renewed without a hello"));
  add(core("old_epoch_ok", "a copy of an older epoch is accepted"));
  add(core("old_ack", "the answer to any barrier counts"));
  add(core("join_in_barrier", "who opens a volume during a barrier is let through"));
  add(core("not_idempotent", "a commit sent again is not recognized"));
  add(core("offer_unchecked", "whose reservation a commit names is not looked at"));
  add(core("free_at_once", "a deleted snapshot is dead while it is still being read"));
  add(core("answer_before_durable", "answers do not wait for their record"));
  add(core("welcome_never_lost", "a hello that is said again opens a second session"));
  add(core("forget_requests", "an administrator's request that was carried out is carried out again"));
  add(core("no_grace", "after a takeover nobody is waited for"));
  add(core("reuse_by_time", "what an expired session had reserved is given to others"));
  add(core("epoch_first", "a commit sent again meets the question about its epoch first"));
  add(core("dying_unshared", "a deleted snapshot does not count for sharing at once"));
  add(core("lease_without_margin", "the server adds nothing to a lease for drift"));
  add(core("expired_not_awaited", "a create does not wait for a writer whose lease is over"));
  add(core("dead_not_flushed", "nobody flushes what a killed writer had completed"));
  add(core("copy_after", "the last copy of a chunk counts, not the first"));
  add(core("any_reservation", "which reservation a commit names is not looked at"));
  add(core("reserve_before_durable", "chunks are granted before a crash cannot take that back"));
  add(core("short_grace", "a master waits for a lease shorter than those that were granted"));
  add(core("bitmap_in_grace", "a chunk is said to be unshared during grace"));
  add(core("sacrifice_at_once", "a snapshot that is given up is dead while it is still being read"));
  add(core("sacrifice_held", "a held snapshot is given up, too"));
  add(core("sacrifice_newest", "of the snapshots that may be given up the last in order is"));
  add(core("sacrifice_any_volume", "whether a volume's owner gives snapshots up is not asked"));
  add(core("lost_waits_kept", "who lost the connection goes on waiting for room"));
  add(core("resize_wakes_nobody", "those who wait for room are looked at again only when some was freed"));
  add(machine("keep_bitmap", "the unshared bitmap is kept over an epoch"));
  add(machine("late_answer", "an answer of an older epoch sets its bits"));
  add(machine("no_drain", "a barrier is answered with writes in flight"));
  add(machine("self_thaw", "a lost connection thaws"));
  add(machine("epoch_at_send", "a commit carries the epoch of its sending"));
  add(machine("no_recheck", "a read completes whatever happened since it began"));
  add(machine("drop_keeps_reads", "a dropped delegation still completes reads"));
  add(machine("void_at_welcome", "delegations are voided at the welcome, not before the hello"));
  add(machine("no_lease_check", "the lease is always valid"));
  add(machine("lease_from_answer", "the lease is counted from the answer, not from the sending"));
  add(machine("gone_keeps_reads", "a read of a deleted snapshot that is in flight completes"));
  add(machine("split_mark", "a deleted snapshot ends the reads in flight, but lets others begin"));
  add(machine("client_decides", "no answer, so it was not committed"));
  using p = plugin::planted_mistakes;
  add(plugin_bug("skip_copy_out", &p::skip_copy_out, "a shared chunk is overwritten without a copy"));
  add(plugin_bug("no_flush_before_commit", &p::no_flush_before_commit,
                 "a copy is committed while in the cache"));
  add(plugin_bug("ignore_copy_error", &p::ignore_copy_error, "a copy that failed is committed all the same"));
  add(plugin_bug("return_with_io", &p::return_with_io, "a place is given back while it is being written"));
  using e = server::planted_mistakes;
  add(edge("heard_before_durable", &e::heard_before_durable,
           "a log batch counts as durable while it is written"));
  add(edge("log_only_cached", &e::log_only_cached, "log blocks are written without FUA"));
  add(edge("root_only_cached", &e::root_only_cached, "the root is written without FUA"));
  add(edge("pages_unflushed", &e::pages_unflushed, "the root is written before its pages are flushed"));
  add(edge("root_without_mirror", &e::root_without_mirror, "the slot's second copy keeps an older root"));
  add(edge("failed_log_ignored", &e::failed_log_ignored,
           "a failed write of the log is taken for a good one"));
  add(edge("failed_pages_ignored", &e::failed_pages_ignored, "a failed write or flush of pages is ignored"));
  add(edge("unproved", &e::unproved,
           "answers without reading the term again, though the election can split"));
  add(edge("reuse_unproved", &e::reuse_unproved, "pages are used again without a look for a successor"));
  add(edge("proof_before", &e::proof_before, "a read of the term that began before the decision counts"));
  add(engine_bug("checksum_ignored", "a block with a wrong checksum is used"));
  add(engine_bug("address_ignored", "a block's own number is not looked at"));
  add(engine_bug("stale_page_ok", "a page may be of another generation than its pointer says"));
  add(pair_in_engine("address_ignored", "stale_page_ok",
                     "of a page neither its own number nor its generation is looked at"));
  add(engine_bug("no_flush_before_root", "a takeover's root is written before its pages are flushed"));
  add(engine_bug("recovery_not_flushed", "a master serves before its first root is durable"));
  add(engine_bug("reuse_before_durable", "what is freed is given out before that is durable"));
  add(engine_bug("root_by_sequence_only",
                 "the newest root is the one with the highest generation, of any term"));
  add(engine_bug("tail_hides_corruption", "the log ends at the first bad block, whatever follows"));
  add(engine_bug("split_loses_right", "a split page's right half is not entered above it"));
  add(engine_bug("ack_before_write", "what was appended counts as durable at once"));
  add(engine_bug("mirror_not_written", "a slot is written once, not twice"));
  add(engine_bug("dead_areas_at_once", "pages are allocated where predecessors may still write"));
  add(engine_bug("claims_not_compared", "two masters that claim at one time keep what both claimed"));
  add(engine_bug("replay_first", "the logs are read before the own term is written"));
  using s = server_setup;
  add(server_bug("eof_is_death", &s::eof_is_death, "a lost connection counts as proof of death"));
  add(server_bug("death_before_io_ends", &s::death_before_io_ends,
                 "a killed process is gone with I/O in flight"));
  add(server_bug("lease_on_wall_clock", &s::time_is_wall_clock, "the server's leases are on the wall clock"));
  planted_bug monotonic{"lease_stands_still",
                        where::node_world,
                        "the client's lease stands still while the machine sleeps",
                        {},
                        {},
                        {}};
  monotonic.in_node = [](node_setup &n) { n.time_is_monotonic = true; };
  add(monotonic);
  using l = disk_lies;
  add(disk_bug("origin_flush_lies", &l::flush_does_nothing, true, false, false,
               "an origin's flush does nothing"));
  add(disk_bug("origin_fua_lies", &l::fua_ignored, true, false, false, "an origin's FUA does nothing"));
  add(disk_bug("origin_drops_writes", &l::drops_writes, true, false, false, "an origin loses writes"));
  add(disk_bug("origin_misdirects", &l::misdirects, true, false, false, "an origin's writes go astray"));
  add(disk_bug("origin_stale_reads", &l::stale_reads, true, false, false,
               "an origin reads what was there before"));
  add(disk_bug("origin_acknowledges_early", &l::acknowledges_early, true, false, false,
               "an origin's writes land after their end"));
  add(disk_bug("store_flush_lies", &l::flush_does_nothing, false, true, false,
               "the store's flush does nothing"));
  add(disk_bug("store_drops_writes", &l::drops_writes, false, true, false, "the store loses writes"));
  add(disk_bug("store_hides_flush_errors", &l::flush_errors_hidden, false, true, false,
               "a failed flush of the store succeeds"));
  add(disk_bug("metadata_fua_lies", &l::fua_ignored, false, false, true,
               "the metadata device's FUA does nothing"));
  add(disk_bug("metadata_drops_writes", &l::drops_writes, false, false, true,
               "the metadata device loses writes"));
  planted_bug forgets{
      "flush_failures_forgotten", where::world, "a flush is tried again as if none had failed", {}, {}, {}};
  forgets.in_world = [](cluster &c) {
    for (disk *each : c.all_disks()) each->lies.flush_failures_forgotten = true;
  };
  add(forgets);
  planted_bug swaps{
      "messages_overtake", where::world, "messages of a connection overtake each other", {}, {}, {}};
  swaps.in_world = [](cluster &c) { c.net.habits.swaps_messages = true; };
  add(swaps);
  planted_bug lock{"lock_of_the_frozen", where::world, "a master that is stopped counts as dead", {}, {}, {}};
  lock.in_world = [](cluster &c) { c.election.lies = true; };
  add(lock);
  planted_bug ids{
      "tool_new_request", where::world, "what the tool sends again is another request", {}, {}, {}};
  ids.tool_new_ids = true;
  add(ids);
  return out;
}

}  // namespace

const std::vector<planted_bug> &planted_bugs() {
  static const std::vector<planted_bug> all = make_list();
  return all;
}

const planted_bug *find_planted(const std::string &name) {
  const auto &all = planted_bugs();
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const planted_bug &b) { return b.name == name; });
  return found == all.end() ? nullptr : &*found;
}

}  // namespace csnap::simulation
