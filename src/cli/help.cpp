// `fathom help [verb]`: every verb, flag and default, on stdout.
#include <cstdio>

#include "cli/verbs.h"
#include "cli/words.h"

namespace fathom::cli {

void add_help(Frame& frame) {
  CLI::App* verb = frame.verb("help", "Show every verb, or one verb's flags");
  auto topic = std::make_shared<std::string>();
  verb->add_option("verb", *topic, "The verb to explain");
  CLI::App* app = &frame.app;
  frame.on(verb, [app, topic]() -> Result<int> {
    const CLI::App* shown = app;
    if (!topic->empty()) {
      shown = nullptr;
      std::vector<std::string> names;
      for (const CLI::App* one : app->get_subcommands(nullptr)) {
        if (one->get_group().empty()) continue;
        names.push_back(one->get_name());
        if (one->get_name() == *topic) shown = one;
      }
      if (shown == nullptr) {
        const std::string near = nearest(*topic, names);
        return Error{
            Code::usage,
            "unknown verb '" + one_line(*topic, 60) + "'" + (near.empty() ? "" : "; did you mean '" + near + "'?"),
            "fathom help"};
      }
    }
    const std::string name = shown == app ? "fathom" : "fathom " + shown->get_name();
    std::printf("%s", app->get_formatter()->make_help(shown, name, CLI::AppFormatMode::Normal).c_str());
    return 0;
  });
}

}  // namespace fathom::cli
