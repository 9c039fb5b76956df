#!/bin/sh
# SPDX-License-Identifier: MIT
# build.sh - `make deb`: build/moonpark_VERSION_ARCH.deb from what `make install` puts in place. No root, no debhelper.
#
#   VERSION=0.1.0 MAKE=make LUAJIT=luajit sh rockspec/deb/build.sh
#
# SOURCE_DATE_EPOCH, or the last commit's time, dates everything in it: the same tree makes the same package.
# DEBFULLNAME and DEBEMAIL say who maintains it.

set -eu

here=rockspec/deb
stage=build/deb
root=$stage/root

fail() {
  echo "make deb: $*" >&2
  exit 1
}

for tool in dpkg-deb dpkg-architecture dpkg-shlibdeps strip gzip; do
  command -v "$tool" >/dev/null || fail "$tool is missing: apt-get install dpkg-dev binutils gzip"
done
arch=$(dpkg-architecture -qDEB_HOST_ARCH)
multiarch=$(dpkg-architecture -qDEB_HOST_MULTIARCH)
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}
export SOURCE_DATE_EPOCH
maintainer="${DEBFULLNAME:-the moonpark developers} <${DEBEMAIL:-moonpark@localhost.localdomain}>"
package=build/moonpark_${VERSION}_$arch.deb

umask 022
rm -rf "$stage"
mkdir -p "$root/DEBIAN" "$stage/debian"
"$MAKE" -s --no-print-directory install DESTDIR="$PWD/$root" PREFIX=/usr LIBDIR="/usr/lib/$multiarch/lua/5.1"
core=$root/usr/lib/$multiarch/lua/5.1/moonpark/core.so
strip --strip-unneeded --remove-section=.comment --remove-section=.note "$core"
chmod 644 "$core"
sed -i '1s|.*|#!/usr/bin/luajit|' "$root/usr/bin/moonpark"
gzip -9n "$root/usr/share/man/man1/moonpark.1"

# The command writes what belongs to it.
moonpark() {
  LUA_PATH="$PWD/lua/?.lua;$PWD/lua/?/init.lua;;" LUA_CPATH="$PWD/build/release/?.so;;" "$LUAJIT" "$@"
}
put() {
  mkdir -p "$root/$(dirname "$1")"
  cat >"$root/$1"
}
moonpark lua/bin/moonpark completion bash | put usr/share/bash-completion/completions/moonpark
moonpark lua/bin/moonpark completion zsh | put usr/share/zsh/vendor-completions/_moonpark
moonpark lua/bin/moonpark completion fish | put usr/share/fish/vendor_completions.d/moonpark.fish
moonpark -e 'io.write(require("moonpark.project.deploy").template())' | put 'lib/systemd/system/moonpark@.service'

doc=usr/share/doc/moonpark
put "$doc/copyright" <$here/copyright
printf 'moonpark (%s) unstable; urgency=medium\n\n  * See README.md and docs/ of the sources.\n\n -- %s  %s\n' \
  "$VERSION" "$maintainer" "$(date -u -R -d "@$SOURCE_DATE_EPOCH")" |
  gzip -9n | put "$doc/changelog.gz"
mkdir -p "$root/$doc/examples"
cp -r examples/. "$root/$doc/examples/"

# What the library is linked with, by Debian's own reckoning.
printf 'Source: moonpark\n\nPackage: moonpark\nArchitecture: any\n' >"$stage/debian/control"
libraries=$(cd "$stage" && dpkg-shlibdeps -O "../../$core" | sed -n 's/^shlibs:Depends=//p')
[ -n "$libraries" ] || fail "dpkg-shlibdeps names no libraries"

find "$root" -type d -exec chmod 755 {} +
find "$root" -type f ! -perm -100 -exec chmod 644 {} +
find "$root" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
size=$(du -sk --exclude=DEBIAN "$root" | cut -f1)
sed -e '/^#/d' -e "s|@VERSION@|$VERSION|; s|@ARCH@|$arch|; s|@SIZE@|$size|; s|@LIBRARIES@|$libraries|" \
  -e "s|@MAINTAINER@|$maintainer|" $here/control >"$root/DEBIAN/control"
(cd "$root" && find . -type f ! -path './DEBIAN/*' -printf '%P\0' | sort -z | xargs -0 md5sum) >"$root/DEBIAN/md5sums"
touch -d "@$SOURCE_DATE_EPOCH" "$root/DEBIAN" "$root/DEBIAN"/*
dpkg-deb --root-owner-group --build "$root" "$package" >/dev/null
echo "$package"
