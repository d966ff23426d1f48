#!/usr/bin/env bash
# Installs what the tests need and is not there: redis-server, kcat, curl, a Java
# run-time, Maven, Node.js, Python and Chromium from the distribution, Apache
# Kafka's jars through Maven into .cache/kafka, the validators of generated
# documents through npm into .cache/validators, the inbox page's rules of
# accessibility into .cache/page, and what the example clients need through npm
# and pip into .cache/clients; with the word peers, also what builds the programs
# that the bench measures beside the product: a JDK, Maven and a C compiler. Does
# nothing, at once, when all is there. Starts and stops no service.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly peers=${1:-}
readonly libs=.cache/kafka/libs
readonly stamp=.cache/kafka/installed
readonly validators=.cache/validators
readonly page=.cache/page
readonly clients=.cache/clients
readonly policy=/usr/sbin/policy-rc.d

# missing prints the distribution's packages for the commands not found.
missing() {
  local pair
  local wanted=(redis-server:redis-server kcat:kcat curl:curl java:default-jre-headless mvn:maven node:nodejs npm:npm chromium:chromium)
  if [ "$peers" = peers ]; then wanted+=(javac:default-jdk-headless cc:gcc); fi
  for pair in "${wanted[@]}"; do
    # Maven and npm are of use only while there is something to fetch.
    if [ "${pair%%:*}" = mvn ] && [ "$peers" != peers ] && jars_are_there; then continue; fi
    if [ "${pair%%:*}" = npm ] && validators_are_there && page_is_there && javascript_is_there; then continue; fi
    command -v "${pair%%:*}" >/dev/null || echo "${pair#*:}"
  done
  # Distributions split what makes an environment off Python itself.
  python_is_there || python3 -c 'import ensurepip, venv' 2>/dev/null || echo python3-venv
}

# The jars are there when all were copied from the pom as it is now.
jars_are_there() {
  [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$(cksum <test/broker/pom.xml)" ] && compgen -G "$libs/kafka-server-*.jar" >/dev/null
}

# fetched says that a place holds what a lock file as it is now names.
fetched() { # place, lock file
  [ -f "$1/installed" ] && [ "$(cat "$1/installed")" = "$(cksum <"$2")" ]
}
validators_are_there() { fetched "$validators" test/validators/package-lock.json; }
page_is_there() { fetched "$page" test/page/package-lock.json; }
javascript_is_there() { fetched "$clients/javascript" examples/clients/javascript/package-lock.json; }

# An environment ends with the Python that it was made of.
python_is_there() {
  fetched "$clients/python" examples/clients/python/requirements.txt && "$clients/python/bin/python" -c '' 2>/dev/null
}

as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    echo "test/setup.sh: neither root nor sudo: ask an administrator to install: ${packages[*]}" >&2
    exit 1
  fi
}

# install_packages installs without starting what it installs: the packages'
# scripts ask policy-rc.d, and 101 means no. One that is already there stays.
install_packages() {
  if ! command -v apt-get >/dev/null; then
    echo "test/setup.sh: no apt-get here: install redis-server, kcat, a Java 17 run-time, maven, nodejs, npm, chromium, curl and Python 3 with venv, then run make test again (missing: ${packages[*]})" >&2
    exit 1
  fi
  echo "test/setup.sh: installing ${packages[*]}"
  if [ ! -e "$policy" ]; then
    trap 'as_root rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
    as_root chmod 755 "$policy"
  fi
  local status=0
  apt_install || status=$?
  if [ "$status" != 0 ]; then
    # The lists are missing or old.
    status=0
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq update && apt_install || status=$?
  fi
  if [ "$status" != 0 ]; then
    echo "test/setup.sh: could not install ${packages[*]}; the tests need them" >&2
    exit 1
  fi
}

apt_install() {
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 --no-install-recommends install "${packages[@]}" >/dev/null
}

fetch_jars() {
  echo "test/setup.sh: fetching Apache Kafka's jars into $libs"
  rm -f "$stamp"
  rm -rf "$libs.new"
  mkdir -p .cache/kafka
  if ! mvn -q -B -f test/broker/pom.xml dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$PWD/$libs.new"; then
    echo "test/setup.sh: Maven could not fetch Apache Kafka's jars; the real-broker tests need them, see the lines above" >&2
    exit 1
  fi
  # Whole or not at all: an interrupted run leaves nothing that looks complete.
  rm -rf "$libs"
  mv "$libs.new" "$libs"
  cksum <test/broker/pom.xml >"$stamp"
}

# fetch_npm installs what a lock file names, and notes that all of it is there.
fetch_npm() { # place, where package.json and its lock file are, what it is, what needs it
  echo "test/setup.sh: fetching $3 into $1"
  rm -rf "$1"
  mkdir -p "$1"
  cp "$2/package.json" "$2/package-lock.json" "$1"
  if ! (cd "$1" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null); then
    echo "test/setup.sh: npm could not fetch $3; $4 needs it, see the lines above" >&2
    exit 1
  fi
  cksum <"$2/package-lock.json" >"$1/installed"
}

fetch_python() {
  echo "test/setup.sh: fetching what the Python example needs into $clients/python"
  rm -rf "$clients/python"
  mkdir -p "$clients"
  if ! { python3 -m venv "$clients/python" &&
    "$clients/python/bin/python" -m pip install -q --disable-pip-version-check --require-hashes -r examples/clients/python/requirements.txt; }; then
    echo "test/setup.sh: pip could not fetch the CloudEvents SDK; the test of the example clients needs it, see the lines above" >&2
    exit 1
  fi
  cksum <examples/clients/python/requirements.txt >"$clients/python/installed"
}

mkdir -p .cache
exec 9>.cache/setup.lock # two runs at once take turns
flock 9
mapfile -t packages < <(missing)
if [ "${#packages[@]}" -gt 0 ]; then install_packages; fi
jars_are_there || fetch_jars
validators_are_there || fetch_npm "$validators" test/validators "the validators of generated documents" "the test of generated documents"
page_is_there || fetch_npm "$page" test/page "the rules of accessibility (axe-core)" "the test of the inbox page"
javascript_is_there || fetch_npm "$clients/javascript" examples/clients/javascript "the JavaScript CloudEvents SDK" "the test of the example clients"
python_is_there || fetch_python
java_version=$(java -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -n 1)
if [ "${java_version:-0}" -lt 17 ]; then
  echo "test/setup.sh: java on PATH is version ${java_version:-unknown}; Apache Kafka needs 17 or newer" >&2
  exit 1
fi
