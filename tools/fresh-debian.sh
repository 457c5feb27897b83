#!/bin/sh
# Run commands in a clone of this checkout on a fresh Debian 12: the smallest that debootstrap makes, with git and make.
# It shows what a machine of one's own hides: a package that nobody installs. As root, with debootstrap:
#     tools/fresh-debian.sh FOLDER make demo
# FOLDER keeps the Debian (350 MB, 2.5 GB with all packages), so that the next command goes on there; remove it for a
# fresh one. FRESH_BINDS names folders of this machine that pip or apt need there (a mirror, wheels), read-only.
# Everything is mounted in a mount namespace of its own and gone with the command.
set -eu
[ $# -gt 1 ] || { sed -n '2,8s/^# \{0,1\}//p' "$0" >&2; exit 2; }
[ "$(id -u)" = 0 ] || { echo "fresh-debian.sh: chroot and mounts need root" >&2; exit 2; }
command -v debootstrap >/dev/null || { echo "fresh-debian.sh: debootstrap is missing: apt-get install debootstrap" >&2; exit 2; }
checkout=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$1"
folder=$(cd "$1" && pwd)
shift
if ! [ -e "$folder/complete" ]; then
    rm -rf "$folder/root"
    debootstrap --variant=minbase --include=ca-certificates,git,make bookworm "$folder/root" http://deb.debian.org/debian
    touch "$folder/complete"
fi
exec unshare --mount --pid --fork sh -c '
    set -eu
    root=$1/root checkout=$2
    shift 2
    mount --make-rprivate /
    mount --bind "$root" "$root"
    mount -t proc proc "$root/proc"
    mount --rbind /sys "$root/sys"
    for place in run tmp dev; do mount -t tmpfs "$place" "$root/$place"; done
    chmod 1777 "$root/tmp"
    mkdir "$root/dev/net" "$root/dev/pts" "$root/dev/shm"
    for device in null zero full random urandom tty net/tun; do
        touch "$root/dev/$device"
        mount --bind "/dev/$device" "$root/dev/$device"
    done
    mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
    mount -t tmpfs shm "$root/dev/shm"
    ln -s pts/ptmx "$root/dev/ptmx"
    ln -s /proc/self/fd "$root/dev/fd"
    for stream in 0:stdin 1:stdout 2:stderr; do ln -s "/proc/self/fd/${stream%:*}" "$root/dev/${stream#*:}"; done
    mkdir -p "$root/checkout" "$root/old"
    for bound in "$checkout:/checkout" $(for one in ${FRESH_BINDS:-}; do echo "$one:$one"; done); do
        mkdir -p "$root${bound#*:}"
        mount --bind -o ro "${bound%:*}" "$root${bound#*:}"
    done
    for file in /etc/resolv.conf /etc/hosts /etc/pip.conf /etc/ssl/certs/ca-certificates.crt; do
        [ ! -e "$file" ] || cp "$file" "$root$file"
    done
    cd "$root"
    pivot_root . old
    cd /
    umount -l /old
    exec env -i HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 sh -c "
        set -eu
        git config --global --replace-all safe.directory \"*\"
        [ -d /srv/kubinet ] || git clone -q /checkout /srv/kubinet
        cd /srv/kubinet
        git pull -q
        exec \"\$@\"
    " sh "$@"
' sh "$folder" "$checkout" "$@"
