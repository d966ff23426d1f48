#!/usr/bin/env bash
# Runs govulncheck ($1, with its version) where its database can be reached, and
# says so where it cannot: a check that could not be made has not passed.
set -euo pipefail

readonly database=${GOVULNDB:-https://vuln.go.dev}

if [[ $database == https://* ]] && ! curl -fsS -o /dev/null --max-time 10 "$database/index/db.json" 2>/dev/null; then
  echo "vuln: not checked: the database at $database cannot be reached from here (GOVULNDB names another)"
  exit 0
fi
GOVULNDB=$database go run "$1" ./...
