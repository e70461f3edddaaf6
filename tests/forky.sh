#!/usr/bin/env bash
# Programs of Debian's later suite `forky` beside those of this system, without installing them:
#
#   bash tests/forky.sh prometheus promtool prometheus-alertmanager docker-compose
#
# Each package is unpacked into ~/.cache/otload-tools/forky/PACKAGE, so `…/forky/prometheus/usr/bin/prometheus` is the program; what is
# there already is left as it is. apt works on a root of its own: neither the system's sources nor its packages are touched, and
# nothing here needs root. The mirror and the keyring are those that the system itself uses. Only the packages that are named are
# fetched, not what they depend on: it is for programs that are linked statically, or to libc alone.
#
# For each one it prints `PACKAGE VERSION FOLDER`. One that cannot be had is said on standard error, with exit code 1: a suite that
# moves may lose a package, and nobody should believe that it was tested.

set -uo pipefail

suite=forky
tools=${XDG_CACHE_HOME:-$HOME/.cache}/otload-tools/$suite
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

fail() {
    echo "error: $*" >&2
    exit 1
}

[ $# -gt 0 ] || fail "say which packages: bash tests/forky.sh PACKAGE..."
mkdir -p "$tools" || exit 1
# Two that fetch at the same time would unpack into each other.
exec 9>"$tools/.lock"
flock -w 600 9 || fail "another tests/forky.sh has been at work for ten minutes"

missing=()
for package in "$@"; do
    [ -e "$tools/$package/.version" ] || missing+=("$package")
done

if [ ${#missing[@]} -gt 0 ]; then
    for program in apt-get dpkg dpkg-deb; do
        command -v "$program" >/dev/null || fail "there is no $program here: $suite's ${missing[*]} cannot be fetched"
    done
    [ -e "$keyring" ] || fail "$keyring is missing: what $suite's mirror sends could not be verified"
    # Prints what it would fetch, and fetches nothing.
    mirror=$(apt-get update --print-uris 2>/dev/null | sed -n "s|^'\(.*/debian/\)dists/.*|\1|p" | head -n 1)
    [ -n "$mirror" ] || fail "this system has no mirror of Debian among its sources: ${missing[*]} cannot be fetched"

    root=$(mktemp -d) || exit 1
    trap 'rm -rf "$root"' EXIT
    mkdir -p "$root"/{etc/apt/{apt.conf.d,preferences.d,trusted.gpg.d,sources.list.d},state/lists/partial,cache/archives/partial,fetched}
    : >"$root/status"
    echo "deb [signed-by=$keyring] $mirror $suite main" >"$root/etc/apt/sources.list"
    private=(-o "Dir::Etc=$root/etc/apt" -o "Dir::State=$root/state" -o "Dir::State::status=$root/status" -o "Dir::Cache=$root/cache"
        -o "APT::Architecture=$(dpkg --print-architecture)" -o Acquire::Languages=none -o Acquire::Retries=2
        -o Acquire::http::Timeout=60 -o Acquire::https::Timeout=60 -o APT::Sandbox::User= -o APT::Update::Error-Mode=any)
    timeout 300 apt-get "${private[@]}" -qq update >&2 || fail "the list of $suite's packages cannot be fetched"

    for package in "${missing[@]}"; do
        rm -rf "$root"/fetched/* "$tools/.unpacking"
        (cd "$root/fetched" && timeout 300 apt-get "${private[@]}" -qq download "$package" >&2) ||
            fail "$suite's package $package cannot be fetched"
        archive=$(echo "$root"/fetched/*.deb)
        # First beside, then in place: whatever is there is whole.
        dpkg-deb -x "$archive" "$tools/.unpacking" && dpkg-deb -f "$archive" Version >"$tools/.unpacking/.version" ||
            fail "$suite's package $package cannot be unpacked"
        rm -rf "${tools:?}/$package"
        mv "$tools/.unpacking" "$tools/$package" || exit 1
    done
fi

for package in "$@"; do
    echo "$package $(cat "$tools/$package/.version") $tools/$package"
done
