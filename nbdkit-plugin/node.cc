// SPDX-License-Identifier: BSD-3-Clause
#include "nbdkit-plugin/node.h"

#include "metaserver/device/device_use.h"
#include "metaserver/store/offline.h"

#include <algorithm>

namespace csnap::plugin {

namespace {

constexpr std::chrono::milliseconds first_contact{10000};  // nbdkit starts or fails, it does not hang
constexpr std::chrono::milliseconds describe_wait{1000};

// The errors of devices name the device themselves.
error at_place(const std::string &place, const error &e) { return fail(e.code, place + ": " + e.text); }

}  // namespace

result<std::unique_ptr<node>> node::prepare(plugin_config config, hooks h) {
  std::unique_ptr<node> made(new node(std::move(config), std::move(h)));
  if (auto r = made->open_store(); !r) return r.error();
  if (auto r = made->open_volumes(); !r) return r.error();
  return made;
}

result<> node::open_store() {
  auto device = open_device(config_.store);
  if (!device) return at_place("store", device.error());
  const auto label = store::read_label(**device);
  if (!label) return at_place("store=" + config_.store, label.error());
  if (label->role == store::device_role::metadata)
    return fail(errc::invalid,
                "store=" + config_.store + " is the metadata device of a store: name its data device");
  layout_.store = label->shape.store;
  layout_.chunk_bytes = label->shape.chunk_bytes;
  layout_.chunks_offset_bytes = label->shape.chunks_offset_bytes;
  layout_.chunk_count = label->shape.chunk_count;
  store_device_ = std::move(*device);
  store_ = std::make_unique<chunk_store>(*store_device_, layout_);
  return {};
}

result<> node::open_volumes() {
  auto answer = first_answer(wire::list{});
  if (!answer) return answer.error();
  const auto *list = std::get_if<wire::list_reply>(&*answer);
  if (list == nullptr)
    return fail(errc::corrupt, "the server answered a list with a message of another kind");
  for (const wire::volume_entry &entry : list->volumes) {
    auto device = open_origin(entry);
    if (!device) return device.error();
    volumes_.push_back(std::make_unique<origin_volume>(
        origin_volume::setup{entry.id, entry.name, entry.size_bytes, std::move(*device)}));
  }
  // The others are opened too: every nbdkit may be asked to flush what another one, which was killed, had written.
  if (!config_.volume.empty() && find_volume(config_.volume) == nullptr)
    return fail(errc::not_found, "volume=" + config_.volume + ": the store has no volume of this name");
  for (const auto &[name, device] : config_.devices)
    if (find_volume(name) == nullptr)
      return fail(errc::not_found,
                  "device." + name + "=" + device + ": the store has no volume of this name");
  return {};
}

std::optional<client::agent_options> node::agent() const {
  if (config_.agent.empty()) return std::nullopt;
  return client::agent_options{config_.agent, config_.instance, layout_.store};
}

// Named servers are there or not. An agent is asked by who may have come up before any server: nbdkit then waits,
// as long as its timeout= allows.
result<client::answer> node::first_answer(const wire::message &request) const {
  if (const auto known = agent()) {
    auto found = client::find_by_agent(*known, std::chrono::seconds(1));
    if (!found && found.error().code == errc::timed_out) {
      if (hooks_.log) hooks_.log("waiting: " + found.error().text);
      found = client::find_by_agent(*known, config_.timeout);
    }
    if (!found) return found.error();
    return client::call_once(client::of_agent(*known), request, first_contact);
  }
  const auto wait = config_.timeout.count() == 0 ? first_contact : std::min(config_.timeout, first_contact);
  return client::call_once(config_.servers, request, wait);
}

result<std::unique_ptr<opened_device>> node::open_origin(const wire::volume_entry &volume) const {
  const auto given = config_.devices.find(volume.name);
  const std::string &where = given == config_.devices.end() ? volume.device : given->second;
  // Something that is mounted would see its blocks change underneath, and its own writes would not be copied
  // out.
  if (auto r = check_unused(where); !r) return at_place("volume " + volume.name, r.error());
  auto device = open_device(where);
  if (!device)
    return fail(device.error().code, "volume " + volume.name + ": " + device.error().text +
                                         "; its device on this node is named by device." + volume.name +
                                         "=<DEVICE>");
  if ((*device)->size_bytes() < volume.size_bytes)
    return fail(errc::invalid, "volume " + volume.name + ": " + where + " has " +
                                   format_size((*device)->size_bytes()) + ", but the volume has " +
                                   format_size(volume.size_bytes));
  return std::move(*device);
}

bool node::io_ends_with_process() {
  return store_device_->io_ends_with_process() &&
         std::all_of(volumes_.begin(), volumes_.end(),
                     [](const auto &v) { return v->device().io_ends_with_process(); });
}

void node::start() {
  runtime_client::hooks h;
  h.on_change = [this] { drain_.look_again(); };
  h.on_drains = [this](std::vector<barrier_drain::drain> drains) { drain_.add(std::move(drains)); };
  h.interrupted = hooks_.interrupted;
  h.log = hooks_.log;
  client_ = std::make_unique<runtime_client>(config_.servers, agent(), io_ends_with_process(),
                                             config_.planted_in_machine, config_.timeout, std::move(h));
  barrier_drain::hooks d;
  d.take_drains = [this] { return client_->take_drains(); };
  d.flush_origin = [this](volume_id volume) { return flush_origin(volume); };
  d.drained = [this](barrier_id barrier) { client_->drained(barrier); };
  d.log = hooks_.log;
  drain_.start(std::move(d));
}

// First everything that does I/O ends, then the server is told so.
node::~node() {
  if (!client_) return;
  exports_.clear();
  // Without the flush, or if it fails, this session ends as if killed: the next snapshot has the volumes flushed.
  bool all_flushed = true;
  for (const auto &volume : volumes_) {
    const bool was_written = volume->stop();
    if (!was_written) continue;
    const auto flushed = volume->device().flush();
    if (!flushed && hooks_.log)
      hooks_.log("cannot flush volume " + volume->name() + ": " + flushed.error().text);
    all_flushed = all_flushed && flushed.has_value();
  }
  drain_.stop();
  if (all_flushed) client_->say_goodbye();
}

result<open_export *> node::open(std::string_view name, bool read_only) {
  const auto wanted = parse_export_name(name);
  if (!config_.volume.empty() && wanted && wanted->volume != config_.volume)
    return fail(errc::not_found, "only volume " + config_.volume + " is served here");
  auto opened = open_by_name(*this, name, read_only);
  if (!opened) return opened.error();
  open_export *const handle = opened->get();
  const std::lock_guard lock(exports_mutex_);
  exports_.emplace(handle, std::move(*opened));
  return handle;
}

void node::close(open_export *handle) {
  std::unique_ptr<open_export> closed;
  {
    const std::lock_guard lock(exports_mutex_);
    const auto known = exports_.find(handle);
    check(known != exports_.end(), "an export is closed that is not open");
    closed = std::move(known->second);
    exports_.erase(known);
  }
}

result<export_list> node::list() {
  return list_exports([&](wire::list what) {
    if (!config_.volume.empty()) what.volume = config_.volume;
    return client_->list(what, config_.timeout);
  });
}

std::optional<std::string> node::default_export() const {
  if (!config_.volume.empty()) return config_.volume;
  if (volumes_.size() != 1) return std::nullopt;
  return volumes_.front()->name();
}

origin_volume *node::find_volume(std::string_view name) {
  const auto found =
      std::find_if(volumes_.begin(), volumes_.end(), [&](const auto &v) { return v->name() == name; });
  return found == volumes_.end() ? nullptr : found->get();
}

result<> node::verify_store() {
  if (is_verified_) return {};
  const auto served = client_->welcome();
  if (!served) return served.error();
  if (served->store != layout_.store)
    return fail(errc::refused, "the server serves store " + to_text(served->store) +
                                   ", but store=" + config_.store + " is " + to_text(layout_.store));
  if (served->chunk_bytes != layout_.chunk_bytes ||
      served->chunks_offset_bytes != layout_.chunks_offset_bytes ||
      served->chunk_count < layout_.chunk_count)  // more: it was enlarged since
    return fail(errc::refused, "the server has another layout of the store than store=" + config_.store);
  is_verified_ = true;
  return {};
}

result<> node::write(origin_volume &volume, const std::function<result<>(origin_io &)> &op) {
  if (auto r = verify_store(); !r) return r;
  return volume.write(*client_, *store_, config_.planted, op);
}

// Counting the snapshots needs the server; without it the rest is told.
std::string node::describe(const origin_volume &volume) {
  wire::list what;
  what.volume = volume.name();
  const auto reply = client_->list(what, describe_wait);
  if (!reply || reply->volumes.size() != 1) return "origin volume, " + format_size(volume.size_bytes());
  return describe_origin(volume.size_bytes(), reply->volumes.front().snapshot_count);
}

result<> node::flush_origin(volume_id id) {
  const auto found =
      std::find_if(volumes_.begin(), volumes_.end(), [&](const auto &v) { return v->id() == id; });
  check(found != volumes_.end(), "a barrier names a volume that was never opened");
  return (*found)->device().flush();
}

}  // namespace csnap::plugin
