// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/attach/detach.h"

#include "metaserver/attach/attach_record.h"
#include "metaserver/attach/device_facts.h"
#include "metaserver/attach/kernel_nbd.h"

#include <chrono>
#include <thread>

#include <signal.h>
extern "C" {  // which Debian 12's header forgets
#include <sys/pidfd.h>
}

namespace csnap::attach {
namespace {

using namespace std::chrono_literals;

constexpr auto end_patience = 10s;

template <class Condition>
bool comes_true(Condition condition) {
  const auto deadline = std::chrono::steady_clock::now() + end_patience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= deadline) return false;
    std::this_thread::sleep_for(10ms);
  }
  return true;
}

// After its descriptor is taken it is asked whether it still is the supervisor: its id may be another's by now.
void tell_supervisor(const attach_records &records, std::uint32_t index) {
  const auto known = records.of_device(index);
  if (!known || known->supervisor == 0) return;
  const owned_fd process(::pidfd_open(known->supervisor, 0));
  const auto again = records.of_device(index);
  if (process && again && again->supervisor == known->supervisor)
    ::pidfd_send_signal(process.get(), SIGUSR1, nullptr, 0);
}

}  // namespace

result<std::uint32_t> find_device(const std::string &typed) {
  if (typed.starts_with("/dev/")) return parse_device(typed);
  if (const auto known = attach_records().of_export(typed)) return known->index;
  return fail(errc::not_found, typed + " is not attached here");
}

result<> detach_device(std::uint32_t index, bool forced) {
  const std::string path = device_path(index);
  const device_facts device(index);
  const attach_records records;
  auto kernel = kernel_nbd::open();
  if (!kernel) return kernel.error();
  if (!device.attached_by() && !records.of_device(index))
    return fail(errc::not_found, path + " is not attached");
  if (device.attached_by() && !device.identifier().starts_with(device_identifier("")))
    return fail(errc::refused, path + " was not attached by csnap: nbd-client -d " + path);
  if (const std::string user = device.user(); !user.empty() && !forced)
    return fail(errc::busy,
                path + " is " + user + ": umount it first, or --force, which loses what is not written yet");
  if (auto done = kernel->disconnect(index); !done && done.error().code != errc::gone) return done.error();
  tell_supervisor(records, index);
  // One that is mounted stays half there, failing all I/O, until it is not.
  if (!forced && !comes_true([&] { return !device.attached_by(); }))
    return fail(errc::timed_out,
                path + " is detached, but somebody has it open still: it is free when they close it");
  if (!comes_true([&] { return records.of_device(index).value_or(attached_device{}).supervisor == 0; }))
    return fail(errc::timed_out,
                path + " is detached, but its supervisor does not end: kill " +
                    std::to_string(records.of_device(index).value_or(attached_device{}).supervisor));
  records.forget(index);
  return {};
}

}  // namespace csnap::attach
