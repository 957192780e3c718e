// SPDX-License-Identifier: BSD-3-Clause
//
// A private nbdkit server on a Unix socket in a directory of its own, gone with this object.
#pragma once

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <sys/wait.h>
#include <unistd.h>

namespace csnap::test {

class temp_folder {
 public:
  temp_folder() {
    char name[] = "/tmp/csnap-device-XXXXXX";
    if (::mkdtemp(name) == nullptr) throw std::runtime_error("mkdtemp");
    path_ = name;
  }
  ~temp_folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  temp_folder(const temp_folder &) = delete;
  temp_folder &operator=(const temp_folder &) = delete;
  std::string operator/(const std::string &name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

class nbdkit_process {
 public:
  // `arguments` are nbdkit's without the socket, such as {"memory", "1M"}.
  explicit nbdkit_process(std::vector<std::string> arguments) : arguments_(std::move(arguments)) { start(); }
  ~nbdkit_process() { stop(); }
  nbdkit_process(const nbdkit_process &) = delete;
  nbdkit_process &operator=(const nbdkit_process &) = delete;

  std::string uri() const { return "nbd+unix:///?socket=" + socket_; }
  const temp_folder &folder() const { return folder_; }

  void start() {
    std::vector<std::string> words = {"nbdkit", "-f", "--exit-with-parent", "-U", socket_, "-P", pid_file_};
    words.insert(words.end(), arguments_.begin(), arguments_.end());
    std::vector<char *> raw;
    for (auto &w : words) raw.push_back(w.data());
    raw.push_back(nullptr);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::execvp("nbdkit", raw.data());
      ::_exit(127);
    }
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    // nbdkit writes the file when it accepts connections.
    while (!std::filesystem::exists(pid_file_)) {
      if (std::chrono::steady_clock::now() > deadline) throw std::runtime_error("nbdkit does not start");
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  }
  void stop() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = 0;
    ::unlink(socket_.c_str());
    ::unlink(pid_file_.c_str());
  }

 private:
  temp_folder folder_;
  const std::string socket_ = folder_ / "socket";
  const std::string pid_file_ = folder_ / "pid";
  const std::vector<std::string> arguments_;
  pid_t pid_ = 0;
};

}  // namespace csnap::test
