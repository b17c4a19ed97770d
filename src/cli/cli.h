// The program's frame: verbs registered, flags parsed, errors printed in one shape, exit codes in one place.
// Exit codes: 0 done, 1 failure, 2 wrong use, 3 bad input file, 4 a limit, 5 a quality gate, 130 interrupted.
// stdout is data, stderr is talk. Thread rule: main thread only.
#pragma once

namespace fathom::cli {

int run(int argc, char** argv);  // never throws

}  // namespace fathom::cli
