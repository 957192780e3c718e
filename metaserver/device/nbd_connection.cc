// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/device/nbd_connection.h"

#include "metaserver/base/check.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <csignal>

#include <poll.h>
#include <sys/eventfd.h>

namespace csnap {

namespace {

constexpr auto connect_timeout = std::chrono::seconds(10);
// Servers refuse more than this in a read or write. Zeroing keeps to it too: some nbdkit versions stop
// zeroing at 64 MiB and answer "done" when the plugin below cannot zero.
constexpr std::int64_t request_bytes_max = 32 << 20;

std::string last_nbd_error() {
  const char *text = nbd_get_error();
  return text ? text : "unknown error";
}

// Where one thread waits for the answer to its request.
class answer_slot {
 public:
  void set(int error_number) {
    // Notified under the lock: the waiter owns this object and is gone as soon as it sees the answer.
    std::lock_guard lock(mutex_);
    answer_ = error_number;
    answered_.notify_one();
  }
  int wait() {
    std::unique_lock lock(mutex_);
    answered_.wait(lock, [&] { return answer_.has_value(); });
    return *answer_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable answered_;
  std::optional<int> answer_;
};

int take_answer(void *slot, int *error_number) {
  static_cast<answer_slot *>(slot)->set(*error_number);
  return 1;  // libnbd may forget the command
}

}  // namespace

result<std::shared_ptr<nbd_connection>> nbd_connection::connect(const std::string &uri) {
  nbd_handle *handle = nbd_create();
  if (handle == nullptr) return fail(errc::io, uri + ": " + last_nbd_error());
  std::shared_ptr<nbd_connection> out(new nbd_connection(handle));
  if (auto r = out->negotiate(uri); !r) return r.error();
  return out;
}

result<> nbd_connection::negotiate(const std::string &uri) {
  nbd_set_uri_allow_local_file(handle_, true);  // key and certificate files: the URI is the administrator's
  nbd_set_pread_initialize(handle_, false);     // a failed read's buffer is never looked at
  const auto deadline = std::chrono::steady_clock::now() + connect_timeout;
  if (nbd_aio_connect_uri(handle_, uri.c_str()) != 0) return fail(errc::io, uri + ": " + last_nbd_error());
  while (nbd_aio_is_connecting(handle_) == 1) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) return fail(errc::io, uri + ": the NBD server does not answer");
    if (nbd_poll(handle_, static_cast<int>(left.count())) < 0)
      return fail(errc::io, uri + ": " + last_nbd_error());
  }
  if (nbd_aio_is_ready(handle_) != 1 || !read_abilities())
    return fail(errc::io, uri + ": " + last_nbd_error());
  return {};
}

bool nbd_connection::read_abilities() {
  const std::int64_t size = nbd_get_size(handle_);
  const std::int64_t minimum = nbd_get_block_size(handle_, LIBNBD_SIZE_MINIMUM);
  const std::int64_t maximum = nbd_get_block_size(handle_, LIBNBD_SIZE_MAXIMUM);
  if (size < 0 || minimum < 0 || maximum < 0) return false;
  abilities_.size_bytes = static_cast<std::uint64_t>(size);
  // The protocol allows powers of two up to 64 KiB; 0: the server did not say.
  if (minimum > 65536 || (minimum & (minimum - 1)) != 0) return false;
  abilities_.block_bytes = static_cast<std::uint32_t>(std::max<std::int64_t>(minimum, 1));
  const std::int64_t longest = maximum > 0 ? std::min(maximum, request_bytes_max) : request_bytes_max;
  abilities_.request_bytes =
      static_cast<std::uint32_t>(std::max<std::int64_t>(longest, abilities_.block_bytes));
  abilities_.request_bytes -= abilities_.request_bytes % abilities_.block_bytes;
  abilities_.is_read_only = nbd_is_read_only(handle_) != 0;
  abilities_.can_flush = nbd_can_flush(handle_) == 1;
  abilities_.can_fua = nbd_can_fua(handle_) == 1;
  abilities_.can_zero = nbd_can_zero(handle_) == 1;
  abilities_.can_fast_zero = nbd_can_fast_zero(handle_) == 1;
  return true;
}

nbd_connection::~nbd_connection() {
  if (belongs_to_other_process()) {
    // The thread does not exist here, and joining or destroying it would be undefined.
    (void)mover_.release();
  } else if (mover_) {
    stopping_ = true;
    wake_mover();
    mover_->join();
  }
  if (wake_fd_ >= 0) ::close(wake_fd_);
  nbd_close(handle_);
}

int nbd_connection::run(const issue_function &issue) {
  std::call_once(started_, [this] { start_mover(); });
  answer_slot answer;
  const std::int64_t cookie =
      issue(handle_, nbd_completion_callback{.callback = take_answer, .user_data = &answer, .free = nullptr});
  if (cookie < 0) {
    const int number = nbd_get_errno();
    if (nbd_aio_is_ready(handle_) != 1 && nbd_aio_is_processing(handle_) != 1) lost_ = true;
    return number != 0 ? number : EIO;
  }
  // The mover waits for input only, unless it is told that more is to be sent or that the socket is gone.
  if (nbd_aio_get_direction(handle_) != LIBNBD_AIO_DIRECTION_READ) wake_mover();
  return answer.wait();
}

void nbd_connection::start_mover() {
  wake_fd_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  check(wake_fd_ >= 0, "no eventfd");
  mover_pid_ = ::getpid();
  // Signals are for the threads of the program that we are part of.
  sigset_t all, before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  mover_ = std::make_unique<std::thread>([this] { move_bytes(); });
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void nbd_connection::wake_mover() {
  const std::uint64_t one = 1;
  // Can only fail when the counter is full, and then the mover is awake.
  [[maybe_unused]] const auto put = ::write(wake_fd_, &one, sizeof one);
}

void nbd_connection::move_bytes() {
  while (!stopping_) {
    const unsigned direction = nbd_aio_get_direction(handle_);
    const int fd = nbd_aio_get_fd(handle_);
    if (fd < 0 || direction == 0) break;
    pollfd ready[2] = {{fd, 0, 0}, {wake_fd_, POLLIN, 0}};
    if (direction & LIBNBD_AIO_DIRECTION_READ) ready[0].events |= POLLIN;
    if (direction & LIBNBD_AIO_DIRECTION_WRITE) ready[0].events |= POLLOUT;
    if (::poll(ready, 2, -1) < 0) continue;
    std::uint64_t count;
    if (ready[1].revents != 0) [[maybe_unused]]
      const auto got = ::read(wake_fd_, &count, sizeof count);
    // Another thread may have sent something and changed the direction since we asked; a notification that
    // does not fit any more is refused by libnbd without harm. An error or hang-up is met by reading.
    const unsigned now = nbd_aio_get_direction(handle_);
    if ((ready[0].revents & (POLLIN | POLLERR | POLLHUP)) && (now & LIBNBD_AIO_DIRECTION_READ))
      nbd_aio_notify_read(handle_);
    else if ((ready[0].revents & (POLLOUT | POLLERR | POLLHUP)) && (now & LIBNBD_AIO_DIRECTION_WRITE))
      nbd_aio_notify_write(handle_);
  }
  // libnbd has answered all requests in flight with an error by now.
  lost_ = true;
}

}  // namespace csnap
