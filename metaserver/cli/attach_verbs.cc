// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/cli/attach_verbs.h"

#include "metaserver/attach/background.h"
#include "metaserver/attach/detach.h"
#include "metaserver/attach/device_facts.h"
#include "metaserver/attach/supervisor.h"
#include "metaserver/base/names.h"

#include <nlohmann/json.hpp>

#include <cstdio>
#include <memory>

#include <syslog.h>

namespace csnap::cli {
namespace {

constexpr char default_socket[] = "/run/csnap/nbd.sock";

struct attach_options {
  std::string volume, device, socket = default_socket;
  attach::attach_order order;
  bool foreground = false;
};

using begun = std::function<void(const attach::beginning &)>;

// What scripts read: the device alone.
std::string device_text(const attach::supervisor &device, bool as_json) {
  const std::string path = attach::device_path(device.index());
  if (!as_json) return path;
  return nlohmann::json{{"device", path}, {"size", device.facts().size_bytes}}.dump();
}

// Attaches, tells how that went, and watches until the device is detached.
exit_status attach_and_watch(const attach::attach_order &order, bool as_json, const begun &tell_begun,
                             const attach::link_keeper::say &log) {
  const attach::supervisor_signals signals;
  auto device = attach::supervisor::attach(order, signals);
  if (!device) {
    tell_begun({static_cast<int>(exit_status::failed), device.error().text});
    return exit_status::failed;
  }
  const std::string name = attach::device_path(device->index()) + " (" + order.place.export_name + "): ";
  tell_begun({0, device_text(*device, as_json)});
  const auto ended = device->watch(signals, [&](const std::string &line) { log(name + line); });
  if (!ended) log(name + ended.error().text);
  return ended ? exit_status::done : exit_status::failed;
}

exit_status show_beginning(const attach::beginning &how) {
  if (how.exit_status == 0) std::printf("%s\n", how.text.c_str());
  else print_error_line(how.text);
  std::fflush(stdout);
  return how.exit_status == 0 ? exit_status::done : exit_status::failed;
}

exit_status run_attach(const attach_options &options, bool as_json) {
  attach::attach_order order = options.order;
  const auto name = parse_export_name(options.volume);
  if (!name) return misused(name.error().text);
  if (name->is_difference()) return misused("a difference cannot be attached: it is for qemu-img");
  const auto uri = attach::server_uri(options.socket);
  if (!uri) return misused(uri.error().text);
  order.place = {*uri, options.volume};
  order.read_only = order.read_only || !name->is_origin();
  if (!options.device.empty()) {
    const auto index = attach::parse_device(options.device);
    if (!index) return misused(index.error().text);
    order.index = *index;
  }
  if (options.foreground)
    return attach_and_watch(
        order, as_json, [](const auto &how) { show_beginning(how); }, print_error_line);
  return show_beginning(attach::run_in_background([&](const begun &tell_begun) {
    openlog("csnap-attach", LOG_PID, LOG_DAEMON);
    attach_and_watch(order, as_json, tell_begun,
                     [](const std::string &line) { syslog(LOG_NOTICE, "%s", line.c_str()); });
  }));
}

exit_status run_detach(const std::string &typed, bool forced) {
  const auto index = attach::find_device(typed);
  if (!index)
    return index.error().code == errc::invalid ? misused(index.error().text) : failed(index.error());
  const auto done = attach::detach_device(*index, forced);
  return done ? exit_status::done : failed(done.error());
}

void add_attach(CLI::App &app, command_line &line) {
  auto *verb = app.add_subcommand("attach", "Make a volume or snapshot a block device of this host's kernel");
  const auto options = std::make_shared<attach_options>();
  verb->add_option("volume", options->volume, "VOL or VOL@SNAP")->required();
  verb->add_option("device", options->device, "/dev/nbdN; one that is free if not given");
  verb->add_option("--socket", options->socket, "nbdkit's socket: a path, or nbd://HOST:PORT")
      ->capture_default_str();
  verb->add_option("--connections", options->order.connections,
                   "Connections to nbdkit; more for more processors")
      ->check(CLI::Range(1u, attach::connections_max))
      ->capture_default_str();
  verb->add_option(
          "--timeout", options->order.timeout_seconds,
          "Seconds after which a request is sent again over a new connection; 0: when the old one is dead")
      ->check(CLI::Range(0u, 86400u))
      ->capture_default_str();
  verb->add_option("--dead-timeout", options->order.dead_timeout_seconds,
                   "Seconds that I/O waits without a server before it fails")
      ->check(CLI::Range(1u, 864000u))
      ->capture_default_str();
  verb->add_option("--block-size", options->order.block_bytes, "Logical blocks, in bytes: 512 or 4096")
      ->check(CLI::IsMember({512u, 4096u}))
      ->capture_default_str();
  verb->add_flag("--read-only", options->order.read_only,
                 "The device refuses writes; a snapshot's always does");
  verb->add_flag("--foreground", options->foreground, "Stay, and write what happens to standard error");
  verb->footer("Example: csnap attach disk1@monday /dev/nbd1");
  verb->callback([options, &line] { line.status = run_attach(*options, line.globals.json); });
}

void add_detach(CLI::App &app, command_line &line) {
  auto *verb = app.add_subcommand("detach", "Give a device back that attach has set up");
  const auto device = std::make_shared<std::string>();
  const auto forced = std::make_shared<bool>(false);
  verb->add_option("device", *device, "/dev/nbdN, VOL or VOL@SNAP")->required();
  verb->add_flag("--force", *forced, "Also if it is mounted: what is not written yet is lost");
  verb->footer("Example: csnap detach disk1@monday");
  verb->callback([device, forced, &line] { line.status = run_detach(*device, *forced); });
}

}  // namespace

void add_attach_verbs(CLI::App &app, command_line &line) {
  add_attach(app, line);
  add_detach(app, line);
}

}  // namespace csnap::cli
