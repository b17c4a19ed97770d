#include "cli/child.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>

namespace fathom::cli {
namespace {

volatile std::sig_atomic_t g_interrupted = 0;
void remember(int signal) { g_interrupted = signal; }

// SIGINT and SIGTERM are remembered while this lives; poll() and waitpid() wake up with EINTR.
class SignalGuard {
 public:
  SignalGuard() {
    g_interrupted = 0;
    struct sigaction action {};
    action.sa_handler = remember;
    ::sigemptyset(&action.sa_mask);
    ::sigaction(SIGINT, &action, &old_int_);
    ::sigaction(SIGTERM, &action, &old_term_);
  }
  SignalGuard(const SignalGuard&) = delete;
  SignalGuard& operator=(const SignalGuard&) = delete;
  ~SignalGuard() {
    ::sigaction(SIGINT, &old_int_, nullptr);
    ::sigaction(SIGTERM, &old_term_, nullptr);
  }

 private:
  struct sigaction old_int_ {
  }, old_term_{};
};

struct Running {
  pid_t pid = -1;
  int talk = -1;  // read end of its stderr, or -1
  std::string line;
};

Result<Running> start(const Child& child) {
  int ends[2] = {-1, -1};
  const bool piped = !child.prefix.empty() && !child.drop_output;
  if (piped && ::pipe2(ends, O_CLOEXEC) != 0) return Error{Code::io, std::string("pipe: ") + std::strerror(errno), ""};
  std::vector<char*> arguments;
  for (const std::string& word : child.command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) return Error{Code::io, std::string("fork: ") + std::strerror(errno), ""};
  if (pid == 0) {     // from here on only async-signal-safe calls
    ::setpgid(0, 0);  // a ctrl-C on the terminal reaches us alone; we pass it on once
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(127);
    if (child.drop_output) {
      const int nowhere = ::open("/dev/null", O_WRONLY);
      ::dup2(nowhere, STDERR_FILENO);
    } else if (piped) {
      ::dup2(ends[1], STDERR_FILENO);
    }
    ::dup2(STDERR_FILENO, STDOUT_FILENO);
    ::execv(arguments[0], arguments.data());
    ::_exit(127);
  }
  if (piped) ::close(ends[1]);
  return Running{pid, ends[0], ""};
}

void pass_on(Running& running, const std::string& prefix, bool ended) {
  std::size_t end = 0;
  while ((end = running.line.find_first_of("\n\r")) != std::string::npos) {
    if (end > 0) std::fprintf(stderr, "%s%.*s\n", prefix.c_str(), static_cast<int>(end), running.line.c_str());
    running.line.erase(0, end + 1);
  }
  if (ended && !running.line.empty()) std::fprintf(stderr, "%s%s\n", prefix.c_str(), running.line.c_str());
}

// Waits until something was read, a signal came or 0.2 s passed. False: nothing is open any more.
bool read_talk(std::vector<Running>& running, const std::vector<Child>& children) {
  std::vector<pollfd> waiting;
  std::vector<std::size_t> owner;
  for (std::size_t i = 0; i < running.size(); ++i)
    if (running[i].talk >= 0) waiting.push_back({running[i].talk, POLLIN, 0}), owner.push_back(i);
  if (waiting.empty()) return false;
  if (::poll(waiting.data(), waiting.size(), 200) <= 0) return true;
  for (std::size_t k = 0; k < waiting.size(); ++k) {
    if (waiting[k].revents == 0) continue;
    Running& one = running[owner[k]];
    char bytes[4096];
    const ssize_t got = ::read(one.talk, bytes, sizeof bytes);
    if (got < 0 && errno == EINTR) continue;
    if (got > 0) one.line.append(bytes, static_cast<std::size_t>(got));
    pass_on(one, children[owner[k]].prefix, got <= 0);
    if (got <= 0) ::close(one.talk), one.talk = -1;
  }
  return true;
}

void signal_all(const std::vector<Running>& running, const std::vector<Child>& children, int signal) {
  for (std::size_t i = 0; i < running.size(); ++i)
    if (children[i].exit_code < 0) ::kill(running[i].pid, signal);
}

// Reaps who ended; true while somebody still runs.
bool reap(std::vector<Running>& running, std::vector<Child>& children, bool wait) {
  bool left = false;
  for (std::size_t i = 0; i < running.size(); ++i) {
    if (children[i].exit_code >= 0) continue;
    int status = 0;
    const pid_t got = ::waitpid(running[i].pid, &status, wait ? 0 : WNOHANG);
    if (got == running[i].pid) {
      children[i].exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    } else {
      left = true;
    }
  }
  return left;
}

}  // namespace

Status run_children(std::vector<Child>& children) {
  const SignalGuard guard;
  std::vector<Running> running;
  for (const Child& child : children) {
    auto started = start(child);
    if (!started) {
      signal_all(running, children, SIGTERM);
      while (reap(running, children, true)) {
      }
      return started.error().within("'" + child.command.front() + "'");
    }
    running.push_back(std::move(*started));
  }
  bool passed = false;
  for (bool left = true; left;) {
    const bool talking = read_talk(running, children);
    left = reap(running, children, false);
    bool failed = g_interrupted != 0;
    for (const Child& child : children) failed |= child.exit_code > 0;
    if (failed && !passed) {
      passed = true;
      signal_all(running, children, g_interrupted != 0 ? g_interrupted : SIGINT);
    }
    if (left && !talking) ::poll(nullptr, 0, 20);
  }
  while (read_talk(running, children)) {
  }  // what was still in the pipes
  if (g_interrupted != 0) return Error{Code::cancelled, "interrupted", "run the same command again to go on"};
  return {};
}

Result<int> verdict_of(const Child& child) {
  const std::string name = "'" + child.command.front() + "'";
  if (child.exit_code == 127) return Error{Code::io, name + " could not be started", "fathom doctor"};
  if (child.exit_code > 128 && child.exit_code != 130) {
    const int signal = child.exit_code - 128;
    return Error{
        signal == SIGKILL ? Code::out_of_memory : Code::internal,
        name + " was ended by signal " + std::to_string(signal) + (signal == SIGKILL ? " (out of memory?)" : ""),
        "run the same command again: it goes on from its last checkpoint"};
  }
  return child.exit_code;
}

}  // namespace fathom::cli
