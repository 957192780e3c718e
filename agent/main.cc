// SPDX-License-Identifier: BSD-3-Clause
//
// csnap-agent: the command line.
#include "agent/command_line.h"
#include "agent/log.h"
#include "agent/node_agent.h"
#include "metaserver/service/service_notice.h"

#include <boost/asio/signal_set.hpp>

#include <CLI/CLI.hpp>

#include <algorithm>
#include <csignal>

#include <sys/resource.h>
#include <unistd.h>

namespace {

using namespace csnap;
using namespace csnap::agent;

constexpr int wrong_usage = 2;

void describe(CLI::App &app, command_line &line) {
  app.set_version_flag("--version", "csnap-agent " CSNAP_VERSION);
  const auto add = [&](const char *option, std::vector<std::string> &to, const char *what) {
    app.add_option(option, to, what)->take_all()->allow_extra_args(false);
  };
  add("--config", line.configs,
      "NAME of /etc/csnap/NAME.conf, or a path; a directory: all stores' files NAME.conf in it");
  app.add_option("--socket", line.socket, "Path of the Unix socket that clients of this node connect to");
  add("--store", line.stores, "NAME=DEVICE: an instance's store (the device with its metadata), only read");
  add("--server", line.servers,
      "NAME=ENDPOINT[,ENDPOINT]: servers of an instance, one of which is the master");
  add("--instance", line.instances,
      "NAME=ARGUMENTS: of the csnap-metaserver that is started here when instance-start asks");
  app.add_option("--metaserver", line.metaserver, "The program that is started")->capture_default_str();
  app.footer(
      "Each of --config, --store, --server and --instance may be given several times; the same NAME means "
      "the same "
      "instance.\n"
      "Example: csnap-agent --socket /run/csnap/agent.sock --store main=/dev/vg/store \\\n"
      "           --instance 'main=--store /dev/vg/store --listen tcp:10.0.0.1:0 --insecure'");
}

result<std::vector<instance_options>> understand(command_line &line) {
  if (const auto added = add_configurations(line); !added) return added.error();
  if (line.socket.empty())
    return fail(errc::invalid, "--socket is required, or a configuration with agent = unix:/PATH");
  if (line.socket.starts_with("unix:")) line.socket.erase(0, 5);  // as it is typed everywhere else
  return interpret(line);
}

// As many clients as we allow need descriptors, and the usual soft limit is 1024.
void raise_descriptor_limit() {
  struct rlimit limit {};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, 8192);
  (void)::setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

int main(int argc, char **argv) {
  CLI::App app("The agent of a csnap node: it tells the clients of this node where the master is.",
               "csnap-agent");
  command_line line;
  describe(app, line);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success &e) {
    return app.exit(e);
  } catch (const CLI::ParseError &e) {
    log(urgency::failure, std::string(e.what()) + "; see csnap-agent --help");
    return wrong_usage;
  }
  auto instances = understand(line);
  if (!instances) {
    log(urgency::failure, instances.error().text);
    return wrong_usage;
  }
  std::signal(SIGPIPE, SIG_IGN);
  raise_descriptor_limit();

  boost::asio::io_context io(1);
  const auto made = node_agent::start(io, line.socket, std::move(*instances));
  if (!made) {
    log(urgency::failure, made.error().text);
    return 1;
  }
  service::service_notice notice(io, [&] { return (*made)->status_line(); });
  boost::asio::signal_set signals(io, SIGTERM, SIGINT);
  signals.async_wait([&](const boost::system::error_code &failed, int) {
    if (failed) return;
    notice.stopping();
    io.stop();
  });
  log(urgency::info, "listening on " + line.socket);
  notice.ready();
  io.run();
  (*made)->stop();
  // Not by destructors: a thread that reads a device which hangs would be waited for.
  ::_exit(0);
}
