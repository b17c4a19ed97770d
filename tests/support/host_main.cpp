// fathom_host BUNDLE MODE [TEXT...]: a program of somebody else's that uses the library, for tests of how it behaves
// there. Prints one line an answer: label, confidence as a hexadecimal float, trajectory, MACs; or the error.
//   plain        a batch
//   single       each text by itself
//   stream       through a Stream, in the order of submission
//   rounding     with the floating-point setting of another library: rounding down, denormals flushed; 3 if it is not
//                found again after every call
//   fork         answers, forks, and answers in the child
//   child-only   opens, forks, and answers in the child for the first time
//   small-stack  everything on a thread with a stack of 128 KB and nothing readable around it
#include <pthread.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cfenv>
#include <cstdio>
#include <cstdlib>
#include <map>

#include "fathom/fathom.hpp"
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace {

struct Asked {
  std::string bundle, mode;
  std::vector<std::string> texts;
};

void set_rounding() {
  std::fesetround(FE_DOWNWARD);
#if defined(__x86_64__)
  _mm_setcsr(_mm_getcsr() | 0x8040);  // flush to zero, denormals are zero
#endif
}

bool rounding_is_set() {
#if defined(__x86_64__)
  if ((_mm_getcsr() & 0xE040u) != 0xA040u) return false;
#endif
  return std::fegetround() == FE_DOWNWARD;
}

void print(const fathom::Answer& answer) {
  if (answer.error)
    std::printf("%s\n", answer.error->text().c_str());
  else
    std::printf("%s %a %llx %a\n", answer.label.c_str(), static_cast<double>(answer.confidence),
                static_cast<unsigned long long>(answer.trajectory), answer.macs);
}

int complain(const fathom::Error& error) {
  std::fprintf(stderr, "%s\n", error.text().c_str());
  return error.exit_code();
}

int answer(const fathom::Model& model, const Asked& asked) {
  if (asked.mode == "single") {
    for (const std::string& text : asked.texts) {
      const auto one = model.classify(text);
      if (!one)
        std::printf("%s\n", one.error().text().c_str());
      else
        print(*one);
    }
    return 0;
  }
  if (asked.mode == "stream") {
    auto stream = model.stream();
    if (!stream) return complain(stream.error());
    std::map<std::uint64_t, fathom::Answer> answers;
    for (std::size_t next = 0; next < asked.texts.size() || stream->held() > 0;) {
      const auto taken = stream->submit(std::span<const std::string>(asked.texts).subspan(next));
      if (!taken) return complain(taken.error());
      next += *taken;
      for (const fathom::Finished& done : stream->drain()) answers[done.ticket] = done.answer;
    }
    for (const auto& [ticket, one] : answers) print(one);
    return 0;
  }
  const auto answers = model.classify(std::span<const std::string>(asked.texts));
  if (!answers) return complain(answers.error());
  for (const fathom::Answer& one : *answers) print(one);
  return 0;
}

int in_child(const fathom::Model& model, const Asked& asked) {
  std::fflush(stdout);
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(30);  // rather than wait for ever
    const int code = answer(model, asked);
    std::fflush(stdout);
    ::_exit(code);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int work(const Asked& asked) {
  fathom::Options options;
  options.threads = 2;
  if (asked.mode == "rounding") set_rounding();
  const auto model = fathom::Model::open(asked.bundle, options);
  if (!model) return complain(model.error());
  if (asked.mode == "rounding" && !rounding_is_set()) return 3;
  if (asked.mode == "fork") {
    if (const int code = answer(*model, asked); code != 0) return code;
    return in_child(*model, asked);
  }
  if (asked.mode == "child-only") return in_child(*model, asked);
  const int code = answer(*model, asked);
  return asked.mode == "rounding" && !rounding_is_set() ? 3 : code;
}

struct Job {
  const Asked& asked;
  int code = 1;
};

int on_small_stack(const Asked& asked) {
  constexpr std::size_t kStack = 128 * 1024, kAround = 8 << 20;  // what is overrun is never somebody's memory
  void* all = ::mmap(nullptr, kStack + 2 * kAround, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (all == MAP_FAILED) return 1;
  char* stack = static_cast<char*>(all) + kAround;
  if (::mprotect(stack, kStack, PROT_READ | PROT_WRITE) != 0) return 1;
  pthread_attr_t attributes;
  ::pthread_attr_init(&attributes);
  ::pthread_attr_setstack(&attributes, stack, kStack);
  Job job{asked};
  pthread_t thread;
  const auto body = [](void* given) -> void* {
    Job& own = *static_cast<Job*>(given);
    own.code = work(own.asked);
    return nullptr;
  };
  if (::pthread_create(&thread, &attributes, body, &job) != 0) return 1;
  ::pthread_join(thread, nullptr);
  return job.code;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) return 2;
  const Asked asked{argv[1], argv[2], {argv + 3, argv + argc}};
  return asked.mode == "small-stack" ? on_small_stack(asked) : work(asked);
}
