// SPDX-License-Identifier: BSD-3-Clause
#include "tests/simulation/cluster.h"

#include "metaserver/store/offline.h"
#include "tests/simulation/formatted_store.h"
#include "tests/simulation/probes.h"

#include <algorithm>
#include <utility>

namespace csnap::simulation {

cluster::cluster(const run_options &o, const planted_bug *planted, bool verbose)
    : options(o),
      bug(planted),
      w(o.seed),
      net(w, o.net),
      election(w, o.election_can_split),
      operations_left(o.operations_max),
      chance_(w.stream("cluster")) {
  w.verbose = verbose;
  w.switch_per_mille = o.switch_per_mille;
  make_disks();
  std::vector<const disk_image *> images;
  for (const auto &each : origins) images.push_back(&each->image);
  judged = std::make_unique<judge>(w, images, o.volume_sectors, o.chunk_bytes);
  for (std::uint32_t v = 1; v <= o.volumes; ++v) judged->policies[v] = {o.when_full};

  host &first = w.add_host();
  const auto add_place = [&](std::vector<place> &to, const char *what) {
    place p;
    p.where = o.several_hosts ? &w.add_host() : &first;
    p.name = what + std::to_string(to.size() + 1);
    to.push_back(p);
  };
  for (unsigned s = 0; s < o.servers; ++s) add_place(server_places, "server");
  for (unsigned n = 0; n < o.nodes; ++n) add_place(node_places, "node");
  // Within the margin that a server adds to leases.
  if (o.has(fault::clock_drift))
    for (auto &h : w.hosts()) h->rate_ppm = chance_.between(-50000, 50000);
  for (auto &h : w.hosts()) h->boottime_at_start = chance_.between(1, 1000) * second;
  if (bug != nullptr) bug->prepare(*this);

  tool_process = &w.add_process(first, "tool");
  admin = std::make_unique<tool>(w, net, *tool_process, "tool", addresses());
  if (bug != nullptr) admin->new_id_each_time = bug->tool_new_ids;
  servers.resize(o.servers);
  nodes.resize(o.nodes);
  if (o.has(fault::stray_writes)) lead_writes_astray();
  for (std::size_t s = 0; s < servers.size(); ++s) start_server(s);
  for (std::size_t n = 0; n < nodes.size(); ++n) start_node(n);
}

// What fibers of dead or living processes were in the middle of is never finished, so these cannot be
// destroyed; a worker process ends after a batch of seeds and gives the memory back.
cluster::~cluster() {
  const auto leave = [](auto &all) {
    for (auto &each : all) (void)each.release();
  };
  leave(servers), leave(nodes), leave(old_servers_), leave(old_nodes_);
}

std::vector<std::string> cluster::addresses() const {
  std::vector<std::string> out;
  for (const place &p : server_places) out.push_back(p.name);
  return out;
}

void cluster::make_disks() {
  const formatted_store &made = formatted_store_for(options);
  disk_habits habits = options.disks;
  const bool remote = options.remote_data;
  for (unsigned v = 0; v < options.volumes; ++v) {
    habits.outlives_process = remote;
    origins.push_back(
        std::make_unique<disk>(w, "origin" + std::to_string(v + 1), disk_image(volume_bytes()), habits));
  }
  habits.outlives_process = remote && options.separate_metadata;
  store = std::make_unique<disk>(w, "store", made.data, habits);
  habits.outlives_process = false;
  if (options.metadata_slow_max > 0) {
    habits.slow_per_mille = options.metadata_slow_per_mille;
    habits.slow_max = options.metadata_slow_max;
  }
  if (options.separate_metadata)
    separate_metadata = std::make_unique<disk>(w, "metadata", *made.metadata, habits);
}

std::vector<disk *> cluster::all_disks() {
  std::vector<disk *> all{store.get()};
  for (const auto &each : origins) all.push_back(each.get());
  if (separate_metadata) all.push_back(separate_metadata.get());
  return all;
}

void cluster::start_server(std::size_t number) {
  if (servers[number]) old_servers_.push_back(std::move(servers[number]));
  const place &p = server_places[number];
  process &self = w.add_process(*p.where, p.name);
  server_setup setup;
  setup.address = p.name;
  setup.node = static_cast<std::uint32_t>(number);
  setup.cache_bytes = options.cache_bytes;
  setup.on_unprovable = [this] { has_unprovable_death = true; };
  setup.on_send = [this](const wire::envelope &what) { judged->server_says(what); };
  if (options.audits_maps)
    setup.on_map = [this](const wire::map &asked, const wire::map_reply &said) {
      audit_map(*this, asked, said);
    };
  if (options.audits_grants && !options.election_can_split)
    setup.on_grant = [this](const wire::reserved &said) { audit_grant(*this, said); };
  if (options.keeps_room)
    setup.on_log = [this](const store::engine &engine, const std::string &text) {
      check_given_up(*this, engine, text.find("is given up") != std::string::npos);
    };
  setup.on_stop = [this](const error &why) { check_named(*this, why); };
  setup.measure_store = [this]() -> result<std::uint64_t> { return store->image.size_bytes(); };
  if (bug != nullptr) bug->change(setup);
  servers[number] = std::make_unique<server_process>(w, net, election, metadata(), self, std::move(setup));
}

void cluster::start_node(std::size_t number) {
  if (nodes[number]) old_nodes_.push_back(std::move(nodes[number]));
  const place &p = node_places[number];
  process &self = w.add_process(*p.where, p.name);
  node_setup setup;
  setup.place = p.name;
  setup.number = static_cast<std::uint32_t>(number + 1);
  setup.servers = addresses();
  for (const auto &each : origins) setup.origins.push_back(each.get());
  setup.store = store.get();
  setup.volume_bytes = volume_bytes();
  setup.reserve_chunks = options.reserve_chunks;
  setup.maps_min = options.maps_min;
  setup.io_ends_with_process = !options.remote_data;
  setup.on_commit = [this, name = p.name](volume_id volume) {
    if (on_next_commit) std::exchange(on_next_commit, nullptr)(name, volume);
  };
  setup.on_granted = [this, &self] {
    if (on_next_grant) std::exchange(on_next_grant, nullptr)(self);
  };
  if (bug != nullptr) bug->change(setup);
  nodes[number] = std::make_unique<node_process>(w, net, *judged, self, std::move(setup),
                                                 [this, number] { start_threads(*this, *nodes[number]); });
}

void cluster::kill_node(std::size_t number) {
  if (!nodes[number] || !nodes[number]->self().alive()) return;
  if (options.remote_data || options.several_hosts) has_unprovable_death = true;
  nodes[number]->self().kill();
}

void cluster::restart_the_dead(nanoseconds within) {
  const auto later = [&](auto what) { w.after(chance_.between(0, within), nullptr, what); };
  // Of one node there is one server at a time: it has the areas that the one before had. Who starts it waits until that
  // one is gone, which it is not while its writes may land; then it is started the next time.
  for (std::size_t s = 0; s < servers.size(); ++s)
    if (servers[s] && !servers[s]->self().alive())
      later([this, s] {
        if (!is_ending && servers[s]->self().gone()) start_server(s);
      });
  for (std::size_t n = 0; n < nodes.size(); ++n)
    if (nodes[n] && !nodes[n]->self().alive())
      later([this, n] {
        if (!is_ending && !nodes[n]->self().alive()) start_node(n);
      });
}

// All of it: machines and disks.
void cluster::power_cut() {
  w.say("power cut");
  ++count.power_cuts;
  for (const auto &p : w.processes())
    if (p.get() != tool_process) p->kill();
  if (options.remote_data || options.several_hosts) has_unprovable_death = true;
  const bool at_risk =
      std::any_of(origins.begin(), origins.end(), [](const auto &o) { return o->has_lost_writes(); });
  const auto cut = [](disk &d) {
    const auto result = d.power_cut();
    sometimes(probe::sectors_lost, result.lost > 0);
    sometimes(probe::sectors_torn, result.torn > 0);
  };
  for (const auto &each : origins) cut(*each);
  cut(*store);
  if (separate_metadata) cut(*separate_metadata);
  for (auto &h : w.hosts()) {
    ++reinterpret_cast<unsigned char &>(h->boot.bytes[1]);
    h->boottime_at_start -= h->boottime(w.now()) - chance_.between(1, 20) * second;
    h->slept = 0;
  }
  judged->power_cut(w.now());
  is_at_limit = at_risk;
  restart_the_dead(500 * millisecond);
}

// Of pages: that a log's last block was ever written nobody can know.
void cluster::lead_writes_astray() {
  image_device device(metadata().image);
  const auto label = store::read_label(device);
  if (!label) return;
  metadata().faults.stray_from = label->shape.pages_offset_bytes;
  metadata().faults.stray_writes = static_cast<unsigned>(chance_.between(5, 300));
  metadata().on_stray = [this](std::uint64_t block, std::vector<std::byte> wanted) {
    note_stray_write(*this, block, std::move(wanted));
  };
}

void cluster::set_faults(bool on) {
  for (const auto &each : origins) each->faults = {};
  store->faults = {};
  metadata().faults = {};
  if (!on) return;
  const auto some = [&] { return chance_.one_in(2) ? static_cast<unsigned>(chance_.between(1, 200)) : 0u; };
  if (has(fault::origin_errors))
    for (const auto &each : origins)
      each->faults.read_errors = some(), each->faults.write_errors = some(),
      each->faults.flush_errors = some() / 4;
  if (has(fault::store_errors) && options.separate_metadata)
    store->faults.read_errors = some(), store->faults.write_errors = some(),
    store->faults.flush_errors = some() / 8;
  if (has(fault::metadata_errors)) {
    metadata().faults.read_errors = some() / 4, metadata().faults.write_errors = some() / 2;
    metadata().faults.flush_errors = some() / 4;
    if (options.aim == weather::failing_metadata)
      metadata().faults.write_errors = static_cast<unsigned>(chance_.between(100, 1500));
  }
  // A page says where and of which generation it is. What is preserved, behind the pages of a store of one device, says
  // nothing of itself, as the origins do: who reads something wrong there cannot know it.
  if (has(fault::damage)) {
    image_device device(metadata().image);
    if (const auto label = store::read_label(device)) {
      disk_faults &wrong = metadata().faults;
      wrong.wrong_from = label->shape.pages_offset_bytes;
      wrong.wrong_until = wrong.wrong_from + label->shape.page_count * store::block_bytes;
      wrong.stale_reads = some();
      wrong.misdirected_reads = some();
      metadata().image.remember_versions(wrong.wrong_from / image_block_bytes);
    }
  }
  if (has(fault::device_full) && options.separate_metadata) store->faults.no_new_blocks = chance_.one_in(2);
}

}  // namespace csnap::simulation
