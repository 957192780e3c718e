// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/base/names.h"
#include "metaserver/cli/store_target.h"
#include "metaserver/cli/table.h"
#include "metaserver/cli/verbs.h"
#include "metaserver/device/device_use.h"
#include "metaserver/store/offline.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <vector>

namespace csnap::cli {
namespace {

struct format_arguments {
  std::string store, metadata, chunk_size = "64K", when_full = "error";
  std::vector<std::string> origins;
  std::uint32_t nodes = 8, lease_ms = 5000, barrier_ms = 5000;
  bool force = false;
};

// What the command line says, before any device is looked at. Errors: wrong usage.
result<store::format_request> read_request(const format_arguments &typed) {
  store::format_request out;
  const auto chunk_bytes = parse_size(typed.chunk_size);
  if (!chunk_bytes) return chunk_bytes.error();
  const bool is_power_of_two = (*chunk_bytes & (*chunk_bytes - 1)) == 0;
  if (!is_power_of_two || *chunk_bytes < (4u << 10) || *chunk_bytes > (1u << 20))
    return fail(errc::invalid, "--chunk-size " + typed.chunk_size + " is not a power of two from 4K to 1M");
  out.chunk_bytes = static_cast<std::uint32_t>(*chunk_bytes);
  if (typed.nodes < 1 || typed.nodes > store::node_count_max)
    return fail(errc::invalid, "--nodes must be 1 to " + std::to_string(store::node_count_max));
  if (typed.lease_ms < 100 || typed.lease_ms > 600000 || typed.barrier_ms < 100 || typed.barrier_ms > 600000)
    return fail(errc::invalid, "--lease-ms and --barrier-ms must be 100 to 600000");
  const auto when_full = parse_full_policy(typed.when_full);
  if (!when_full)
    return fail(errc::invalid, "--full " + typed.when_full + ": write error, origin-first or snapshot-first");
  out.when_full = *when_full;
  out.node_count = typed.nodes;
  out.values.lease_ms = typed.lease_ms;
  out.values.lease_margin_ms = typed.lease_ms / 5;
  out.values.barrier_ms = typed.barrier_ms;
  if (typed.origins.empty()) return fail(errc::invalid, "no volume is named: give --origin NAME=DEVICE");
  if (typed.origins.size() > wire::volumes_max)
    return fail(errc::invalid, "a store has at most " + std::to_string(wire::volumes_max) + " volumes");
  for (const std::string &text : typed.origins) {
    const auto equals = text.find('=');
    if (equals == std::string::npos || equals + 1 == text.size())
      return fail(errc::invalid, "--origin " + text + ": write NAME=DEVICE");
    const std::string name = text.substr(0, equals);
    if (!is_valid_name(name)) return invalid_name("volume", name);
    const auto is_it = [&](const auto &other) { return other.name == name; };
    if (std::any_of(out.origins.begin(), out.origins.end(), is_it))
      return fail(errc::invalid, "two volumes are named " + name);
    out.origins.push_back({name, full_name(text.substr(equals + 1)), 0});
    if (out.origins.back().device.size() > wire::device_name_max)
      return fail(errc::invalid, "the device of " + name + " has too long a name");
  }
  return out;
}

// A device that has two parts to play would be overwritten by itself.
result<> check_all_different(const format_arguments &typed, const store::format_request &request) {
  std::vector<std::pair<std::string, std::string>> devices = {{"the store", typed.store}};
  if (!typed.metadata.empty()) devices.emplace_back("the metadata", typed.metadata);
  for (const auto &each : request.origins) devices.emplace_back("volume " + each.name, each.device);
  for (std::size_t i = 0; i < devices.size(); ++i)
    for (std::size_t k = 0; k < i; ++k)
      if (is_same_device(devices[i].second, devices[k].second))
        return fail(errc::invalid, devices[i].second + " is named twice: as " + devices[k].first +
                                       " and as " + devices[i].first);
  return {};
}

result<> measure_origins(store::format_request &request) {
  for (auto &each : request.origins) {
    const auto device = open_device(each.device, {.read_only = true});
    if (!device) return fail(device.error().code, "volume " + each.name + ": " + device.error().text);
    each.size_bytes = (*device)->size_bytes();
    if (each.size_bytes == 0)
      return fail(errc::invalid, "volume " + each.name + ": " + each.device + " is empty");
    const auto unused = check_unused(each.device);
    if (!unused && unused.error().code == errc::busy)
      print_error_line("warning: " + unused.error().text +
                       "; what is written there without csnap, snapshots will not keep");
  }
  return {};
}

void print_made(const store::geometry &made, const store::format_request &request,
                const format_arguments &typed, bool as_json) {
  const std::string uuid = to_text(made.store);
  const std::string metadata = typed.metadata.empty() ? "" : " --metadata " + typed.metadata;
  if (as_json) {
    nlohmann::json volumes = nlohmann::json::array();
    for (const auto &each : request.origins)
      volumes.push_back({{"name", each.name}, {"device", each.device}, {"size", each.size_bytes}});
    const nlohmann::json out = {{"uuid", uuid},
                                {"chunk_size", made.chunk_bytes},
                                {"chunks_total", made.chunk_count},
                                {"metadata_pages", made.page_count},
                                {"nodes", made.node_count},
                                {"volumes", volumes}};
    std::printf("%s\n", out.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
    return;
  }
  std::printf("store %s on %s\n", uuid.c_str(), typed.store.c_str());
  std::printf("  for copies %s in chunks of %s, for metadata %s\n",
              format_size(made.chunk_count * made.chunk_bytes).c_str(), format_size(made.chunk_bytes).c_str(),
              format_size(made.page_count * store::block_bytes).c_str());
  for (const auto &each : request.origins)
    std::printf("  volume %s: %s on %s\n", each.name.c_str(), format_size(each.size_bytes).c_str(),
                each.device.c_str());
  std::printf("next:\n  csnap-metaserver --store %s%s --listen unix:/run/csnap.sock\n", typed.store.c_str(),
              metadata.c_str());
  std::printf("  nbdkit csnap server=unix:/run/csnap.sock store=%s\n", typed.store.c_str());
  std::printf("  csnap --server unix:/run/csnap.sock create %s@first\n",
              request.origins.front().name.c_str());
}

exit_status format(const global_options &globals, const format_arguments &typed) {
  auto request = read_request(typed);
  if (!request) return misused(request.error().text);
  if (const auto different = check_all_different(typed, *request); !different)
    return failed(different.error());
  auto data = claim_target(typed.store, typed.force);
  if (!data) return failed(data.error());
  std::optional<store_target> metadata;
  if (!typed.metadata.empty()) {
    auto claimed = claim_target(typed.metadata, typed.force);
    if (!claimed) return failed(claimed.error());
    metadata.emplace(std::move(*claimed));
  }
  if (const auto measured = measure_origins(*request); !measured) return failed(measured.error());
  request->store = client::random_unique_id();
  request->created_unix_ms = unix_ms_now();
  // Nothing is destroyed for a store that cannot be made.
  const auto metadata_bytes = metadata ? std::optional(metadata->device->size_bytes()) : std::nullopt;
  const auto plan = store::plan_geometry(*request, data->device->size_bytes(), metadata_bytes);
  if (!plan) return failed(plan.error());
  for (const store_target *each : {&*data, metadata ? &*metadata : nullptr})
    if (each && !each->destroys.empty())
      print_error_line("warning: destroying " + each->destroys + ", on " + each->name);
  const auto made = store::format_store(*data->device, metadata ? metadata->device.get() : nullptr, *request);
  if (!made) return failed(made.error());
  print_made(*made, *request, typed, globals.json);
  return exit_status::done;
}

}  // namespace

void add_format_verb(CLI::App &app, command_line &line) {
  const auto typed = std::make_shared<format_arguments>();
  auto *verb = app.add_subcommand("format", "Make an empty store; the origin volumes are not touched");
  verb->add_option("STORE", typed->store, "Device for the copies, overwritten")->required();
  verb->add_option("--origin", typed->origins, "NAME=DEVICE of a volume; may be given several times")
      ->required()
      ->take_all()
      ->allow_extra_args(false);
  verb->add_option("--chunk-size", typed->chunk_size, "Unit of sharing, 4K to 1M")->capture_default_str();
  verb->add_option("--metadata", typed->metadata, "A second device for the metadata, overwritten");
  verb->add_option("--nodes", typed->nodes, "So many nodes can run a server")->capture_default_str();
  verb->add_option("--lease-ms", typed->lease_ms, "How long a client may work without the server")
      ->capture_default_str();
  verb->add_option("--barrier-ms", typed->barrier_ms, "How long a create waits for a client")
      ->capture_default_str();
  verb->add_option("--full", typed->when_full,
                   "When the store is full: error, writes fail; origin-first, snapshots are given up; "
                   "snapshot-first, writes wait. Later: csnap set")
      ->capture_default_str();
  verb->add_flag("--force", typed->force, "Destroy the store that is there now");
  verb->footer("Example: csnap format /dev/sdc --origin disk1=/dev/sdb");
  verb->callback([typed, &line] { line.status = format(line.globals, *typed); });
}

}  // namespace csnap::cli
