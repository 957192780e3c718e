// SPDX-License-Identifier: BSD-3-Clause
//
// Everything of one run: hosts, disks, servers, nodes, the tool, and the judge. Knows how to start each of
// them, again after it died.
#pragma once

#include "tests/simulation/election_oracle.h"
#include "tests/simulation/judge.h"
#include "tests/simulation/node_process.h"
#include "tests/simulation/options.h"
#include "tests/simulation/planted.h"
#include "tests/simulation/server_process.h"
#include "tests/simulation/tool.h"

#include <memory>
#include <set>
#include <string>
#include <vector>

namespace csnap::simulation {

struct damaged_block {
  std::uint64_t block;
  std::vector<std::byte> original, damaged;
};

struct run_counters {
  std::uint64_t crashes = 0, power_cuts = 0, freezes = 0, elections = 0, operations = 0, errors = 0;
};

class cluster {
 public:
  cluster(const run_options &options, const planted_bug *bug, bool verbose);
  ~cluster();
  cluster(const cluster &) = delete;
  cluster &operator=(const cluster &) = delete;

  const run_options options;
  const planted_bug *const bug;
  world w;
  network net;
  election_oracle election;
  std::vector<std::unique_ptr<disk>> origins;
  std::unique_ptr<disk> store, separate_metadata;
  std::vector<disk *> all_disks();
  disk &metadata() { return separate_metadata ? *separate_metadata : *store; }
  std::unique_ptr<judge> judged;
  run_counters count;

  std::vector<damaged_block> damage;                           // in the order in which it was done
  std::set<std::pair<std::uint32_t, std::uint64_t>> given_up;  // snapshots, as the servers' catalogs said
  bool is_healed = false, is_ending = false;
  // Sessions whose death nobody can prove: from then on a create may be refused for ever.
  bool has_unprovable_death = false;
  // The limit that docs/failure-modes.md names (F06): the power failed after a flush of an origin had failed, and a
  // new process could not know it; a snapshot made before may read as it did not then. The run ends there.
  bool is_at_limit = false;
  std::uint64_t operations_left;
  unsigned busy_threads = 0;  // of nodes and tool, with an operation under way

  struct place {
    host *where{};
    std::string name;
  };
  std::vector<place> server_places, node_places;
  std::vector<std::unique_ptr<server_process>> servers;  // by place; null or dead: not running
  std::vector<std::unique_ptr<node_process>> nodes;
  process *tool_process = nullptr;
  std::unique_ptr<tool> admin;
  // Once each; may be empty.
  std::function<void(const std::string &node, volume_id volume)> on_next_commit;
  std::function<void(process &node)> on_next_grant;  // of chunks
  std::shared_ptr<void> bad_luck;                    // the nemesis: lives as long as its events

  void start_server(std::size_t number);
  void start_node(std::size_t number);
  void kill_node(std::size_t number);
  // Starts what is not running, after a while.
  void restart_the_dead(nanoseconds within);
  void power_cut();
  void set_faults(bool on);
  bool has(fault f) const { return options.has(f) && !is_healed; }
  void wrong_if_check(bool ok, const char *checker, const std::string &text) {
    if (!ok) judged->wrong(checker, text);
  }
  std::uint64_t volume_bytes() const { return options.volume_sectors * sector_bytes; }
  write_id next_write() { return ++last_write_; }

 private:
  std::vector<std::string> addresses() const;
  void make_disks();
  void lead_writes_astray();
  std::vector<std::unique_ptr<server_process>> old_servers_;  // their fibers' objects stay until the end
  std::vector<std::unique_ptr<node_process>> old_nodes_;
  prng chance_;
  write_id last_write_ = 0;
};

// workload.cc: what one thread of an NBD server does until the run heals.
void start_threads(cluster &c, node_process &node);
void one_operation(cluster &c, node_process &node, prng &chance, unsigned thread);
// tool_work.cc
void start_tools(cluster &c);
result<> make_snapshot(cluster &c, prng &chance, bool group, std::string *name);
void remove_newest(cluster &c, volume_id volume);  // if there is another; returns at once
bool list_all(cluster &c, std::vector<wire::snapshot_entry> *all);
result<> remove_snapshot(cluster &c, const std::pair<std::uint32_t, std::string> &name);
// room_work.cc: the administrator of a store that is full
void start_room_keeper(cluster &c);
void make_room_for_all(cluster &c);
bool release_all(cluster &c);
void check_given_up(cluster &c, const store::engine &engine, bool one_was);
// damage.cc
void damage_metadata(cluster &c, prng &chance);
void check_damage(cluster &c);
void note_stray_write(cluster &c, std::uint64_t block, std::vector<std::byte> wanted);
// A server stopped for this reason: damage has a name.
void check_named(cluster &c, const error &why);
// audit.cc
void audit_map(cluster &c, const wire::map &asked, const wire::map_reply &said);
void audit_grant(cluster &c, const wire::reserved &said);
void check_mirror_of_newest_slot(cluster &c);
// nemesis.cc
void start_nemesis(cluster &c);
// ending.cc: reads everything, deletes everything, ends everybody; false: not yet over.
void start_ending(cluster &c, bool *is_over);
void check_what_is_left(cluster &c);

}  // namespace csnap::simulation
