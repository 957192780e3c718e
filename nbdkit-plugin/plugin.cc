// SPDX-License-Identifier: BSD-3-Clause
//
// The callbacks that nbdkit calls. Each runs in a guard: an exception that left the plugin would end nbdkit.
// Everything behind them is in node.
#define NBDKIT_API_VERSION 2
#define HAVE_VFPRINTF_PERCENT_M 1  // lets the compiler check nbdkit_error's arguments
#define THREAD_MODEL NBDKIT_THREAD_MODEL_PARALLEL
#include <nbdkit-plugin.h>

#include "metaserver/store/geometry.h"
#include "nbdkit-plugin/nbd_errno.h"
#include "nbdkit-plugin/node.h"

#include <dlfcn.h>

#include <cstdio>
#include <new>

namespace {

using namespace csnap;
using namespace csnap::plugin;

plugin_config configuration;
std::unique_ptr<node> the_node;

open_export &opened(void *handle) { return *static_cast<open_export *>(handle); }

int report(const char *what, const error &e) {
  nbdkit_error("%s: %s", what, e.text.c_str());
  nbdkit_set_error(nbd_errno(e.code));
  return -1;
}
int finish(const char *what, const result<> &outcome) { return outcome ? 0 : report(what, outcome.error()); }

template <typename F, typename R>
R guard(const char *what, R fallback, F &&f) noexcept {
  try {
    return f();
  } catch (const std::bad_alloc &) {
    nbdkit_error("%s: out of memory", what);
    nbdkit_set_error(ENOMEM);
  } catch (const std::exception &e) {
    nbdkit_error("%s: %s", what, e.what());
    nbdkit_set_error(EIO);
  } catch (...) {
    nbdkit_error("%s: unknown exception", what);
    nbdkit_set_error(EIO);
  }
  return fallback;
}

durability durability_of(std::uint32_t flags) {
  return (flags & NBDKIT_FLAG_FUA) != 0 ? durability::durable : durability::cached;
}

// ---- start and end ----

int csnap_config(const char *key, const char *value) {
  return guard("config", -1, [&] {
    const auto r = configuration.set(key, value);
    if (!r) nbdkit_error("%s", r.error().text.c_str());
    return r ? 0 : -1;
  });
}

int csnap_config_complete() {
  return guard("config_complete", -1, [] {
    const auto r = configuration.complete();
    if (!r) nbdkit_error("%s", r.error().text.c_str());
    return r ? 0 : -1;
  });
}

void csnap_dump_plugin() { std::printf("csnap_format_version=%u\n", store::format_version); }

// nbdkit before 1.34 may abort when a client dies with requests in flight in parallel. It has no version to
// ask for; nbdkit_disconnect came with the same release as the repair.
int csnap_thread_model() {
  const bool is_safe = dlsym(RTLD_DEFAULT, "nbdkit_disconnect") != nullptr;
  const bool parallel = configuration.parallel == parallel_mode::on ||
                        (configuration.parallel == parallel_mode::automatic && is_safe);
  return parallel ? NBDKIT_THREAD_MODEL_PARALLEL : NBDKIT_THREAD_MODEL_SERIALIZE_REQUESTS;
}

int csnap_get_ready() {
  return guard("get_ready", -1, [] {
    const planted_mistakes &p = configuration.planted;
    if (p.skip_copy_out || p.no_flush_before_commit || p.ignore_copy_error || p.return_with_io ||
        !configuration.planted_in_machine.empty())
      nbdkit_error("WARNING: csnap-planted is for tests only: THIS PROCESS DESTROYS SNAPSHOTS");
    node::hooks hooks;
    // Not an interval but a question: does nbdkit, or the client that this thread serves, want to end?
    hooks.interrupted = [] { return nbdkit_nanosleep(0, 0) == -1; };
    hooks.log = [](const std::string &line) { nbdkit_error("%s", line.c_str()); };
    auto made = node::prepare(configuration, std::move(hooks));
    if (!made) {
      nbdkit_error("%s", made.error().text.c_str());
      return -1;
    }
    the_node = std::move(*made);
    return 0;
  });
}

int csnap_after_fork() {
  return guard("after_fork", -1, [] {
    the_node->start();
    return 0;
  });
}

void csnap_cleanup() {
  guard("cleanup", 0, [] {
    the_node.reset();
    return 0;
  });
}

// ---- exports ----

int csnap_list_exports(int, int, nbdkit_exports *exports) {
  return guard("list_exports", -1, [&] {
    const auto list = the_node->list();
    if (!list) return report("list_exports", list.error());
    for (const listed_export &e : list->exports)
      if (nbdkit_add_export(exports, e.name.c_str(), e.description.c_str()) == -1) return -1;
    if (list->is_cut) nbdkit_debug("the list of exports was cut at %zu", exports_max);
    return 0;
  });
}

const char *csnap_default_export(int, int) {
  return guard("default_export", static_cast<const char *>(nullptr), []() -> const char * {
    const auto name = the_node->default_export();
    return name ? nbdkit_strdup_intern(name->c_str()) : nullptr;
  });
}

void *csnap_open(int readonly) {
  return guard("open", static_cast<void *>(nullptr), [&]() -> void * {
    const char *name = nbdkit_export_name();
    if (name == nullptr) return nullptr;
    const std::string wanted = *name == '\0' ? the_node->default_export().value_or("") : name;
    const auto handle = the_node->open(wanted, readonly != 0);
    if (!handle) report("open", handle.error());
    return handle ? *handle : nullptr;
  });
}

void csnap_close(void *handle) {
  guard("close", 0, [&] {
    the_node->close(static_cast<open_export *>(handle));
    return 0;
  });
}

std::int64_t csnap_get_size(void *handle) { return static_cast<std::int64_t>(opened(handle).size_bytes()); }
int csnap_can_write(void *handle) { return opened(handle).is_writable() ? 1 : 0; }
int csnap_yes(void *) { return 1; }
int csnap_no(void *) { return 0; }
int csnap_can_fua(void *) { return NBDKIT_FUA_NATIVE; }
int csnap_can_cache(void *) { return NBDKIT_CACHE_EMULATE; }

const char *csnap_export_description(void *handle) {
  return guard("export_description", static_cast<const char *>(nullptr),
               [&]() -> const char * { return nbdkit_strdup_intern(opened(handle).description().c_str()); });
}

// Not the chunk size as the preferred one: a write of 4 KiB is as good as any once its chunk is unshared, and
// clients would read, change and write whole chunks.
int csnap_block_size(void *, std::uint32_t *minimum, std::uint32_t *preferred, std::uint32_t *maximum) {
  *minimum = 1;
  *preferred = 4096;
  *maximum = 32u << 20;
  return 0;
}

// ---- data ----

int csnap_pread(void *handle, void *buffer, std::uint32_t count, std::uint64_t offset, std::uint32_t) {
  return guard("pread", -1, [&] {
    return finish("pread", opened(handle).read(offset, {static_cast<std::byte *>(buffer), count}));
  });
}

int csnap_pwrite(void *handle, const void *buffer, std::uint32_t count, std::uint64_t offset,
                 std::uint32_t flags) {
  return guard("pwrite", -1, [&] {
    const std::span from(static_cast<const std::byte *>(buffer), count);
    return finish("pwrite", opened(handle).write(offset, from, durability_of(flags)));
  });
}

// Never ENOTSUP: nbdkit 1.32's fallback for it leaves all but the first 64 MiB unzeroed.
int csnap_zero(void *handle, std::uint32_t count, std::uint64_t offset, std::uint32_t flags) {
  return guard("zero", -1, [&] {
    const bool may_unmap = (flags & NBDKIT_FLAG_MAY_TRIM) != 0;
    return finish("zero", opened(handle).zero(offset, count, may_unmap, durability_of(flags)));
  });
}

int csnap_trim(void *handle, std::uint32_t count, std::uint64_t offset, std::uint32_t flags) {
  return guard("trim", -1,
               [&] { return finish("trim", opened(handle).trim(offset, count, durability_of(flags))); });
}

int csnap_flush(void *handle, std::uint32_t) {
  return guard("flush", -1, [&] { return finish("flush", opened(handle).flush()); });
}

// What is reported never goes beyond the range asked for: nbdkit before 1.44 aborts over longer extents
// (CVE-2025-47711). open_export::extents() promises that.
int csnap_extents(void *handle, std::uint32_t count, std::uint64_t offset, std::uint32_t flags,
                  nbdkit_extents *extents) {
  return guard("extents", -1, [&] {
    const auto list = opened(handle).extents(offset, count, (flags & NBDKIT_FLAG_REQ_ONE) != 0);
    if (!list) return report("extents", list.error());
    for (const export_extent &e : *list)
      if (nbdkit_add_extent(extents, e.offset, e.length, e.type) == -1) return -1;
    return 0;
  });
}

nbdkit_plugin make_plugin() {
  nbdkit_plugin p{};
  p.name = "csnap";
  p.longname = "csnap cluster snapshots";
  p.version = CSNAP_VERSION;
  p.description = "Serve the origin volumes and snapshots of a csnap store.";
  p.config = csnap_config;
  p.config_complete = csnap_config_complete;
  p.config_help = config_help;
  p.dump_plugin = csnap_dump_plugin;
  p.thread_model = csnap_thread_model;
  p.get_ready = csnap_get_ready;
  p.after_fork = csnap_after_fork;
  p.cleanup = csnap_cleanup;
  p.list_exports = csnap_list_exports;
  p.default_export = csnap_default_export;
  p.open = csnap_open;
  p.close = csnap_close;
  p.export_description = csnap_export_description;
  p.get_size = csnap_get_size;
  p.block_size = csnap_block_size;
  p.can_write = csnap_can_write;
  p.can_flush = csnap_yes;
  p.is_rotational = csnap_no;
  p.can_trim = csnap_can_write;
  p.can_zero = csnap_can_write;
  p.can_fast_zero = csnap_no;  // no device says beforehand whether zeroing it is quick
  p.can_fua = csnap_can_fua;
  p.can_multi_conn =
      csnap_yes;  // there is no cache in the plugin, and flush covers every connection's writes
  p.can_cache = csnap_can_cache;
  p.can_extents = csnap_yes;
  p.pread = csnap_pread;
  p.pwrite = csnap_pwrite;
  p.zero = csnap_zero;
  p.trim = csnap_trim;
  p.flush = csnap_flush;
  p.extents = csnap_extents;
  p.errno_is_preserved = 0;
  return p;
}

nbdkit_plugin plugin_definition = make_plugin();

}  // namespace

NBDKIT_REGISTER_PLUGIN(plugin_definition)
