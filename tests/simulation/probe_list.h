// SPDX-License-Identifier: BSD-3-Clause
//
// Rare paths that the whole range of seeds must take at least once. The suite prints those that were not hit,
// and fails.
#pragma once

#include <cstddef>

namespace csnap::simulation {

// clang-format off
#define CSNAP_PROBES(X) \
  X(barrier_flush_failed) X(bytes_waited_for_a_cut) X(chunks_returned_unused) \
  X(client_dropped_connection) X(commit_of_old_epoch) X(connect_refused) X(connect_timed_out) \
  X(connected_to_frozen) X(connection_lost) X(connection_lost_in_a_message) \
  X(connection_lost_with_bytes_under_way) X(copy_lost_a_race) X(copy_taken_already) X(copy_used) \
  X(create_timed_out) X(create_was_busy) X(created) X(created_group) X(cut_both_ways) X(cut_one_way) \
  X(damage_was_harmless) X(damage_was_refused) X(death_proved) X(device_full) X(difference_read) \
  X(disk_slow_operation) X(elected_beside_a_living_master) X(elected_while_frozen) \
  X(extents_of_snapshot) X(fewer_reserved_than_wanted) X(flush_failed) X(flush_failure_of_another) \
  X(gone_seen) X(hello_of_an_invisible_process) X(hint_followed) X(host_slept) X(io_error_seen) \
  X(last_write_let_a_barrier_go_on) X(listed) X(log_damaged) X(map_audited) X(no_space_seen) \
  X(node_crashed) X(node_crashed_frozen) X(node_crashed_with_io) X(node_frozen) \
  X(node_frozen_past_its_lease) X(node_isolated) X(node_left_cleanly) X(origin_flushed) \
  X(origin_read) X(page_damaged) X(planned_failover) X(power_cut_at_write) X(power_cut_in_a_write) \
  X(predecessors_proved_dead) X(read_failed) X(read_misdirected) X(read_must_be_repeated) X(removed) \
  X(renamed) X(request_sent_again) X(request_waited_for_room) X(reset_threw_bytes_away) \
  X(run_on_one_device) X(run_with_a_part_of_a_chunk) X(run_with_a_tiny_store) \
  X(run_with_a_volume_of_two_segments) X(run_with_drift) X(run_with_four_nodes) \
  X(run_with_large_chunks) X(run_with_many_elections) X(run_with_many_snapshots) \
  X(run_with_one_node) X(run_with_two_power_cuts) X(sectors_lost) X(sectors_torn) X(server_crashed) \
  X(server_crashed_at_write) X(server_crashed_with_io) X(server_frozen) X(server_frozen_at_write) X(server_hung_up) \
  X(server_stopped_at_once) X(server_stopped_cleanly) X(session_of_an_earlier_boot) \
  X(silent_peer_given_up) X(slot_damaged) X(snapshot_chunk_in_origin) X(snapshot_chunk_in_store) \
  X(snapshot_chunk_zero) X(snapshot_gone_while_read) X(snapshot_known_late) X(snapshot_read) \
  X(snapshot_read_in_full) X(standby_asked) X(store_full) X(takeover) X(takeover_failed) \
  X(takeover_lost_to_another) X(takeover_met_damage) X(takeover_with_sessions) X(tool_sent_again) \
  X(trimmed) X(unflushed_write_lost) X(wall_clock_jumped) X(write_admitted) X(write_failed) \
  X(write_landed_after_sender_died) X(write_landed_after_sender_gone) X(write_landed_in_pieces) \
  X(write_needs_copy) X(write_of_data) X(write_of_several_chunks) X(write_of_zeroes) X(write_waited) \
  X(write_with_fua) \
  X(link_slow) X(takeover_frozen) X(write_lost) X(write_misdirected) X(stray_write_named) \
  X(grant_audited) X(given_up) X(held) X(released) X(policy_set) X(priority_set) X(enlarged) \
  X(enlarged_under_load) X(delete_of_held_refused) X(answers_lost)

enum class probe : unsigned {
#define CSNAP_PROBE(name) name,
  CSNAP_PROBES(CSNAP_PROBE)
#undef CSNAP_PROBE
};
inline constexpr const char *probe_names[] = {
#define CSNAP_PROBE(name) #name,
    CSNAP_PROBES(CSNAP_PROBE)
#undef CSNAP_PROBE
};
inline constexpr std::size_t probe_count = sizeof probe_names / sizeof *probe_names;

}  // namespace csnap::simulation
// clang-format on
