#!/usr/bin/env bash
# Writes the demo image's root file system to TAR: Debian's static busybox, a link for each of its applets, and
# the few scripts of deploy/examples/hello/image. No registry is involved: `docker import TAR bayplan/demo:1`.
set -euo pipefail
cd "$(dirname "$0")/.."
tar=$1
busybox=$(command -v busybox) || {
    echo "error: busybox not found" >&2
    echo "hint: apt-get install busybox-static" >&2
    exit 1
}

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir -p "$root"/{bin,dev,etc,proc,sys,tmp}
cp "$busybox" "$root/bin/busybox"
for applet in $(busybox --list); do
    [ "$applet" = busybox ] || ln -s busybox "$root/bin/$applet"
done
cp -R deploy/examples/hello/image/. "$root"
printf 'root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n' >"$root/etc/passwd"
chmod 1777 "$root/tmp"
tar --create --file "$tar" --owner 0 --group 0 --directory "$root" .
