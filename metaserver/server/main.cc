// SPDX-License-Identifier: BSD-3-Clause
//
// csnap-metaserver: the command line of the server.
#include "metaserver/server/log.h"
#include "metaserver/server/metaserver.h"
#include "metaserver/service/config_file.h"
#include "metaserver/service/service_notice.h"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <string>
#include <vector>

#include <sys/resource.h>

namespace {

using namespace csnap;
using namespace csnap::server;

constexpr int wrong_usage = 2;

struct command_line {
  server_options options;
  std::vector<std::string> listen;
  std::string config, agent, election = "file", cache = "64M", log_level = "info", http;
  std::uint32_t unsafe_dead_after = 0;
  std::uint32_t handshake_ms = wire::handshake_deadline_ms, frame_ms = wire::frame_deadline_ms;
};

void describe(CLI::App &app, command_line &line) {
  app.add_option("--config", line.config,
                 "NAME of /etc/csnap/NAME.conf, or a path: a file with options; those given here win");
  app.add_option("--store", line.options.store, "Device of the snapshot store (made by 'csnap format')");
  app.add_option("--metadata", line.options.metadata,
                 "Device of the store's metadata, if it is a separate one");
  app.add_option(
         "--listen", line.listen,
         "unix:PATH or tcp:HOST:PORT (port 0: any); may be given several times; clients are told the first")
      ->take_all()
      ->allow_extra_args(false);
  app.add_option("--agent", line.agent,
                 "unix:PATH of this node's csnap-agent, to be told at once who is the master");
  app.add_flag("--insecure", line.options.insecure,
               "Serve plain TCP on addresses that are not loopback: whoever reaches them may do everything");
  app.add_option("--election", line.election,
                 "Who decides which server is the master: file, pacemaker or corosync")
      ->capture_default_str();
  app.add_option("--control", line.options.control,
                 "Socket for orders to this server (csnap role, promote ...)");
  app.add_option("--node", line.options.node, "Number of this node in the store")->capture_default_str();
  app.add_option("--cache", line.cache, "Memory for index pages")->capture_default_str();
  app.add_option("--lock", line.options.lock, "File for the master's lock, for stores that are NBD exports");
  app.add_option("--fence", line.options.proof.command,
                 "Command that ends the I/O of the node that is its last argument, and succeeds only then");
  app.add_option("--unsafe-dead-after", line.unsafe_dead_after,
                 "UNSAFE: seconds after which a vanished client counts as dead without any proof");
  app.add_option("--http", line.http,
                 "HOST:PORT on loopback: a status page, /metrics, /status.json, /healthz");
  app.add_option("--log-level", line.log_level, "error, warning or info")->capture_default_str();
  // For tests: the real ones are longer than a test should take.
  app.add_option("--handshake-deadline-ms", line.handshake_ms)->group("");
  app.add_option("--frame-deadline-ms", line.frame_ms)->group("");
  app.add_option("--connections-max", line.options.connections_max)->group("");
  app.footer(
      "Example: csnap-metaserver --store /dev/sdc --listen unix:/run/csnap.sock\n"
      "Plain TCP is served on loopback only, unless --insecure is given, until TLS is offered.");
}

result<> interpret(command_line &line) {
  for (const std::string &text : line.listen) {
    const auto where = client::parse_endpoint(text, client::port_zero::allowed);
    if (!where) return where.error();
    line.options.listen.push_back(*where);
  }
  if (!line.agent.empty()) {
    const auto where = client::parse_endpoint(line.agent);
    if (!where) return where.error();
    if (where->type != client::endpoint::kind::unix_socket)
      return fail(errc::invalid, "--agent " + line.agent + " is not on this node: give --agent unix:PATH");
    line.options.agent = where->path;
  }
  if (line.election == "pacemaker") line.options.election = election_engine::pacemaker;
  else if (line.election == "corosync") line.options.election = election_engine::corosync;
  else if (line.election != "file")
    return fail(errc::unsupported,
                "--election " + line.election + " is not offered: use file, pacemaker or corosync");
  if (!line.http.empty()) {
    const auto where = client::parse_endpoint("tcp:" + line.http, client::port_zero::allowed);
    if (!where) return fail(errc::invalid, "--http " + line.http + " is not HOST:PORT");
    line.options.http = *where;
  }
  const auto cache = parse_size(line.cache);
  if (!cache) return cache.error();
  if (*cache < (1u << 20))
    return fail(errc::invalid, "--cache " + line.cache + " is too small: give 1M at least");
  line.options.cache_bytes = *cache;
  line.options.proof.unsafe_after_ms = std::int64_t{line.unsafe_dead_after} * 1000;
  const auto level = parse_log_level(line.log_level);
  if (!level) return level.error();
  set_log_level(*level);
  line.options.limits.handshake_deadline = std::chrono::milliseconds(line.handshake_ms);
  line.options.limits.frame_deadline = std::chrono::milliseconds(line.frame_ms);
  return {};
}

// What the file says and the command line does not. The file's form was looked at when it was read; keys that are no
// options here are other programs'.
result<> add_configuration(CLI::App &app, const std::string &name_or_path) {
  const auto file = service::read_store_config(name_or_path);
  if (!file) return file.error();
  std::vector<CLI::Option *> added;
  for (const service::setting &each : file->settings) {
    CLI::Option *option = app.get_option_no_throw("--" + each.key);
    if (option == nullptr) continue;
    const bool is_ours = std::find(added.begin(), added.end(), option) != added.end();
    if (option->count() != 0 && !is_ours) continue;
    option->add_result(each.value);
    if (!is_ours) added.push_back(option);
  }
  for (CLI::Option *option : added) option->run_callback();
  return {};
}

result<> parse(CLI::App &app, command_line &line, int argc, char **argv) {
  app.parse(argc, argv);
  if (!line.config.empty())
    if (const auto done = add_configuration(app, line.config); !done) return done;
  if (line.options.store.empty()) return fail(errc::invalid, "--store is required, or --config");
  if (line.listen.empty())
    return fail(errc::invalid, line.config.empty()
                                   ? "--listen is required"
                                   : "--listen is required: a line of the configuration, or an option");
  return interpret(line);
}

// As many connections as we allow need descriptors, and the usual soft limit is 1024.
void raise_descriptor_limit() {
  struct rlimit limit {};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, 8192);
  (void)::setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

int main(int argc, char **argv) {
  CLI::App app("The metadata server of csnap: one master serves a store, others stand by.",
               "csnap-metaserver");
  app.set_version_flag("--version", "csnap-metaserver " CSNAP_VERSION);
  command_line line;
  describe(app, line);
  try {
    if (const auto understood = parse(app, line, argc, argv); !understood) {
      log(log_level::failure, understood.error().text);
      return wrong_usage;
    }
  } catch (const CLI::Success &e) {
    return app.exit(e);
  } catch (const CLI::ParseError &e) {
    log(log_level::failure, std::string(e.what()) + "; see csnap-metaserver --help");
    return wrong_usage;
  }
  std::signal(SIGPIPE, SIG_IGN);
  raise_descriptor_limit();

  boost::asio::io_context io(1);
  const auto server = metaserver::start(io, std::move(line.options));
  if (!server) {
    log(log_level::failure, server.error().text);
    return 1;
  }
  service::service_notice notice(io, [&] { return (*server)->status_line(); });
  boost::asio::signal_set ending(io, SIGTERM, SIGINT);
  ending.async_wait([&](const boost::system::error_code &failed, int) {
    if (!failed) notice.stopping();
  });
  notice.ready();
  io.run();
  return 0;
}
