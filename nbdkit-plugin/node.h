// SPDX-License-Identifier: BSD-3-Clause
//
// The one object of the process: devices, volumes, the session with the metadata server, and the exports that
// connections have open. Its life follows nbdkit's: prepare() in get_ready does all that can fail, while the
// user still sees it; start() in after_fork only starts threads; the destructor runs in cleanup, when all
// connections' threads have ended but open exports were not closed (nbdkit 1.32 does not do that on SIGTERM).
#pragma once

#include "nbdkit-plugin/barrier_drain.h"
#include "nbdkit-plugin/export_list.h"
#include "nbdkit-plugin/export_open.h"
#include "nbdkit-plugin/origin_volume.h"
#include "nbdkit-plugin/plugin_config.h"

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <vector>

namespace csnap::plugin {

class node {
 public:
  struct hooks {
    std::function<bool()> interrupted;  // by the thread that waits
    std::function<void(const std::string &)> log;
  };
  // Errors: one line for the person who starts nbdkit.
  static result<std::unique_ptr<node>> prepare(plugin_config config, hooks h);
  void start();
  ~node();
  node(const node &) = delete;
  node &operator=(const node &) = delete;

  // ---- connections ----
  result<open_export *> open(std::string_view name, bool read_only);
  void close(open_export *handle);
  result<export_list> list();
  // The only origin, or nothing.
  std::optional<std::string> default_export() const;

  // ---- for open exports ----
  runtime_client &client() { return *client_; }
  chunk_store &store() { return *store_; }
  origin_volume *find_volume(std::string_view name);
  // That the server and store= mean the same store; asked once.
  result<> verify_store();
  result<> write(origin_volume &volume, const std::function<result<>(origin_io &)> &op);
  std::string describe(const origin_volume &volume);

 private:
  node(plugin_config config, hooks h) : config_(std::move(config)), hooks_(std::move(h)) {}
  result<> open_store();
  result<> open_volumes();
  std::optional<client::agent_options> agent() const;
  result<client::answer> first_answer(const wire::message &request) const;
  result<std::unique_ptr<opened_device>> open_origin(const wire::volume_entry &volume) const;
  bool io_ends_with_process();
  result<> flush_origin(volume_id volume);

  const plugin_config config_;
  const hooks hooks_;
  std::unique_ptr<opened_device> store_device_;
  wire::welcome layout_;  // as the store device's label has it
  std::unique_ptr<chunk_store> store_;
  std::vector<std::unique_ptr<origin_volume>> volumes_;
  barrier_drain drain_;
  std::unique_ptr<runtime_client> client_;  // from start() on
  std::atomic<bool> is_verified_{false};
  std::mutex exports_mutex_;
  std::unordered_map<open_export *, std::unique_ptr<open_export>> exports_;
};

}  // namespace csnap::plugin
