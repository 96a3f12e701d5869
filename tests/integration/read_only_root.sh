#!/bin/sh
# A command as its container starts it: nothing writable but the folders named before `--`, and no way to more rights.
# One capability is left: the tests' servers are reached by sockets that are another user's.
#   unshare --mount sh read_only_root.sh CODE WRITABLE... -- COMMAND...
set -eu
code=$1
shift
mount --make-rprivate /
while [ "$1" != -- ]; do
  mount --bind "$1" "$1"
  shift
done
shift
for each in / "$(df --output=target "$code" | tail -n 1)"; do
  mount -o remount,bind,ro "$each"
done
if touch "$code/.written" 2>/dev/null; then
  rm "$code/.written"
  echo "$code is still writable" >&2
  exit 99
fi
exec setpriv --no-new-privs --bounding-set=-all,+dac_override --inh-caps=-all "$@"
