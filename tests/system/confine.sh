#!/bin/sh
# confine.sh ROOT USER [ro|rw SOURCE TARGET]... -- COMMAND...
# Runs a command in a root file system, where of this machine's files it sees the folders SOURCE alone, at TARGET. All
# else is read-only but /tmp, and nobody else's process is seen. USER is a number, that of the group too. Variables, and
# the working directory where it is there, are those of this script. All mounts and processes end with the command.
set -eu
[ -n "${CONFINED:-}" ] || CONFINED=1 exec unshare --mount --pid --ipc --uts --fork --kill-child "$0" "$@"
unset CONFINED

place=$PWD
root=$1
user=$2
shift 2
mount -t tmpfs tmpfs /mnt
cd /mnt
mkdir over work root
mount -t overlay -o "lowerdir=$root,upperdir=over,workdir=work" overlay root
mount -t proc -o nosuid,nodev,noexec proc root/proc
mount -t tmpfs -o nosuid,nodev,mode=1777 tmpfs root/tmp
while [ "$1" != -- ]; do
  mkdir -p "root$3"
  mount --bind "$2" "root$3"
  mount -o "remount,bind,$1,nosuid,nodev" "root$3"
  shift 3
done
shift
mount -o remount,ro root
[ -d "root$place" ] || place=/
exec setpriv --no-new-privs --clear-groups unshare --root root --wd "$place" --setgid "$user" --setuid "$user" -- "$@"
