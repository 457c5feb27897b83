#!/bin/sh
# Install the Debian packages named in tools/packages.txt (and in further files given as arguments) that are missing.
# As root directly, with sudo where it asks no password, otherwise print the line for an administrator and fail.
set -eu
here=$(dirname "$0")
wanted=$(cat "$here/packages.txt" "$@" | sed 's/#.*//' | xargs)
missing=
for package in $wanted; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
if ! command -v apt-get >/dev/null; then
    echo "Error: this machine has no apt-get; install the equivalents of:$missing" >&2
    exit 1
fi
if [ "$(id -u)" = 0 ]; then
    sudo=
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    sudo=sudo
else
    echo "Error: Debian packages are missing; ask an administrator to run:" >&2
    echo "  apt-get update && apt-get install -y --no-install-recommends$missing" >&2
    exit 1
fi
echo "Installing Debian packages:$missing"
# A package's own service (openvswitch-switch) is not needed: every node runs its own.
$sudo env DEBIAN_FRONTEND=noninteractive sh -c "apt-get update -q && apt-get install -q -y --no-install-recommends$missing" \
    > "${TMPDIR:-/tmp}/kubinet-apt.$$.log" 2>&1 || { tail -n 20 "${TMPDIR:-/tmp}/kubinet-apt.$$.log" >&2; exit 1; }
rm -f "${TMPDIR:-/tmp}/kubinet-apt.$$.log"
