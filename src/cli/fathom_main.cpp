// `fathom`: the runtime program. All it does is in cli/cli.cpp.
#include "cli/cli.h"

int main(int argc, char** argv) { return fathom::cli::run(argc, argv); }
