#!/bin/sh
# Fails if an object file compiled for one instruction set defines a symbol that the linker may share with portable code:
# weak functions and objects (nm types W, V, u) or static initialisers. See docs/adr on kernel translation units.
# usage: check_symbols.sh <nm> object...
nm=$1
shift
[ $# -gt 0 ] || { echo "check_symbols: no object files given" >&2; exit 2; }
status=0
for object in "$@"; do
  listing=$("$nm" --defined-only -C "$object") || exit 2
  [ -n "$listing" ] || { echo "$object: defines nothing" >&2; status=1; }
  bad=$(printf '%s\n' "$listing" | grep -E '^[0-9a-f]* ([WVuvw] |[tT] _GLOBAL__sub_I)')
  if [ -n "$bad" ]; then
    echo "$object: symbols that other code may end up using:" >&2
    printf '%s\n' "$bad" >&2
    status=1
  fi
done
exit $status
