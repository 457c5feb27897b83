#!/bin/sh
# Run a command as an ordinary user without any privilege, to prove that Kubinet needs none.
# As root: uid 64321, a HOME and the PATH of an ordinary user of Debian, and a mount namespace in which /dev/net/tun is
# open to all, as it is on most machines (`kubinet doctor` names the lack where it is closed). As an ordinary user: run
# the command as it is.
set -eu
[ "$(id -u)" = 0 ] || exec "$@"
home=$(mktemp -d "${TMPDIR:-/tmp}/kubinet-user.XXXXXX")
mknod "$home/tun" c 10 200
chmod 666 "$home/tun"
chown 64321:64321 "$home"
trap 'rm -rf "$home"' EXIT
# The file is bound inside the new mount namespace only; the host's device keeps its mode.
unshare --mount sh -c '
    home=$1
    shift
    mount --bind "$home/tun" /dev/net/tun
    exec setpriv --reuid=64321 --regid=64321 --clear-groups --inh-caps=-all --bounding-set=-all \
        env HOME="$home" USER=ordinary XDG_STATE_HOME="$home/state" PYTHONDONTWRITEBYTECODE=1 \
        PATH=/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games "$@"
' sh "$home" "$@"
