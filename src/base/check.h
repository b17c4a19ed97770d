// Aborts on bugs: always on at room entrances (CHECK), only in debug builds inside loops (DCHECK).
// Never for data that comes from outside: that is an Error.
#pragma once

#include <cstdio>
#include <cstdlib>

#define FATHOM_CHECK(condition, message)                                                                \
  do {                                                                                                  \
    if (!(condition)) {                                                                                 \
      std::fprintf(stderr, "fathom: bug at %s:%d: %s (%s)\n", __FILE__, __LINE__, message, #condition); \
      std::abort();                                                                                     \
    }                                                                                                   \
  } while (0)
#ifdef NDEBUG
#define FATHOM_DCHECK(condition, message) ((void)0)
#else
#define FATHOM_DCHECK(condition, message) FATHOM_CHECK(condition, message)
#endif
