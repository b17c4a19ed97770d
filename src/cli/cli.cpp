#include "cli/cli.h"

#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <exception>
#include <iostream>
#include <new>

#include "base/json.h"
#include "cli/verbs.h"
#include "cli/words.h"

namespace fathom::cli {
namespace {

int complain(const Error& error) {
  std::fprintf(stderr, "%s\n", error_text(error).c_str());
  return exit_code(error.code);
}

Error usage(std::string message, const std::string& verb) {
  return {Code::usage, std::move(message), verb.empty() ? "fathom help" : "fathom help " + verb};
}

std::vector<std::string> verb_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* verb : app.get_subcommands(nullptr))
    if (!verb->get_group().empty()) names.push_back(verb->get_name());
  return names;
}

std::vector<std::string> flag_names(const CLI::App& verb) {
  std::vector<std::string> names;
  for (const CLI::Option* option : verb.get_options())
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  return names;
}

// CLI11's complaint in our shape: what was wrong, the nearest right name, where to read on.
Error from_cli11(const CLI::App& app, const CLI::ParseError& problem) {
  std::string verb;
  const CLI::App* chosen = nullptr;
  for (const CLI::App* one : app.get_subcommands()) chosen = one, verb = one->get_name();
  if (dynamic_cast<const CLI::ExtrasError*>(&problem) != nullptr && chosen != nullptr) {
    const std::vector<std::string> extras = unmarked(app.remaining(true));
    if (!extras.empty()) {
      const std::string word = extras.front().substr(0, extras.front().find('='));
      const std::string near = nearest(word, flag_names(*chosen));
      return usage(
          "'" + verb + "' does not know '" + word + "'" + (near.empty() ? "" : "; did you mean '" + near + "'?"), verb);
    }
  }
  std::string message = problem.what();
  std::replace(message.begin(), message.end(), '\n', ' ');
  return usage((verb.empty() ? "" : "'" + verb + "': ") + message, verb);
}

std::string marked(const std::string& word, bool texts_only) {
  const auto is_list = [](std::string_view s) { return s.size() > 1 && s.front() == '[' && s.back() == ']'; };
  if (is_list(word) || word.starts_with(kMark)) return kMark + word;
  const std::size_t equal = word.find('=');
  if (texts_only || !word.starts_with("--") || equal == std::string::npos) return word;
  const std::string value = word.substr(equal + 1);
  return is_list(value) || value.starts_with(kMark) ? word.substr(0, equal + 1) + kMark + value : word;
}

std::vector<std::string> marked_words(int argc, char** argv) {
  std::vector<std::string> words;
  bool texts_only = false;
  for (int i = argc - 1; i > 0; --i) words.emplace_back();  // CLI11 takes them from the back
  for (int i = 1; i < argc; ++i) {
    words[static_cast<std::size_t>(argc - 1 - i)] = marked(argv[i], texts_only);
    texts_only = texts_only || std::string_view(argv[i]) == "--";
  }
  return words;
}

void take_marks_away(CLI::App& app) {
  const CLI::Validator take_away(
      [](std::string& word) {
        word = unmarked(std::move(word));
        return std::string();
      },
      "");
  for (CLI::App* verb : app.get_subcommands(nullptr))
    for (CLI::Option* option : verb->get_options()) option->transform(take_away);
}

int parse_and_act(int argc, char** argv) {
  CLI::App app("Fathom gives every input only the depth it needs.", "fathom");
  app.set_version_flag("--version", FATHOM_VERSION, "Print the version");
  app.require_subcommand(1);
  app.footer(
      "\nThe two commands to begin with: fathom demo; fathom help run.\n"
      "stdout is data, stderr is talk. Exit codes: 0 done, 1 failure, 2 wrong use, 3 bad input file,\n"
      "4 a limit, 5 a quality gate failed, 130 interrupted.");
  Frame frame{app, {}};
  add_demo(frame);
  add_generate(frame);
  add_fit(frame);
  add_eval(frame);
  add_bench(frame);
  add_certify(frame);
  add_compress(frame);
  add_import(frame);
  add_run(frame);
  add_report(frame);
  add_info(frame);
  add_doctor(frame);
  add_help(frame);
  add_peak(frame);

  take_marks_away(app);

  if (argc < 2) {
    std::fprintf(stderr, "%s", app.help().c_str());
    return complain(usage("no verb given", ""));
  }
  const std::string first = argv[1];
  std::vector<std::string> verbs = verb_names(app);
  verbs.push_back("peak");
  if (first[0] != '-' && std::find(verbs.begin(), verbs.end(), first) == verbs.end()) {
    const std::string near = nearest(first, verb_names(app));
    return complain(usage(
        "unknown verb '" + one_line(first, 60) + "'" + (near.empty() ? "" : "; did you mean '" + near + "'?"), ""));
  }
  try {
    app.parse(marked_words(argc, argv));
  } catch (const CLI::Success& wish) {  // --help, --version: asked for, so it is data
    return app.exit(wish, std::cout, std::cerr);
  } catch (const CLI::ParseError& problem) {
    return complain(from_cli11(app, problem));
  }
  const auto action = frame.actions.find(app.get_subcommands().front());
  FATHOM_CHECK(action != frame.actions.end(), "a verb without an action");
  const Result<int> code = action->second();
  if (!code) return complain(code.error());
  if (std::fflush(stdout) != 0)
    return complain({Code::io, "standard output could not be written", "is the disk full, or the reader gone?"});
  return *code;
}

}  // namespace

// A mapped file that somebody cut short in place: the library cannot go on, but the program can say why.
void on_lost_page(int) {
  constexpr char kText[] =
      "error FTH-102: a file that was in use was cut short, so its bytes are gone\n"
      "  next: replace files by rename (mv), never in place; --weights copy reads weights into memory\n";
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, kText, sizeof kText - 1);
  ::_exit(1);
}

int run(int argc, char** argv) {
  std::signal(SIGBUS, on_lost_page);
  try {
    return parse_and_act(argc, argv);
  } catch (const std::bad_alloc&) {
    return complain({Code::out_of_memory, "not enough memory", "try fewer inputs at a time"});
  } catch (const Json::exception& problem) {  // every key is checked where it is read; should one not be, still no bug
    return complain({Code::bad_input,
                     std::string("a JSON file holds another kind of value than is read there: ") + problem.what(),
                     "make the file again"});
  } catch (const std::exception& problem) {
    return complain({Code::internal, std::string("an unforeseen exception: ") + problem.what(), "please report this"});
  }
}

}  // namespace fathom::cli
