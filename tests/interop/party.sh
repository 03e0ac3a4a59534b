#!/bin/bash
# Judge: stock tools read what two parties exchange. GNU tar opens a pouch, sha256sum finds the digest that the entry names, stock age opens the
# sealed body with each party's own identity file, and not with a stranger's.
#
# Usage: tests/interop/party.sh      (ENTENTE_BUILD: the build folder, default build/)

set -u

root=$(cd "$(dirname "$0")/../.." && pwd) || exit 1
build=${ENTENTE_BUILD:-$root/build}
case $build in
/*) ;;
*) build=$PWD/$build ;;
esac
failures=0

pass() { echo "PASS $1"; }

fail() {
  echo "FAIL $1"
  failures=$((failures + 1))
}

check() {
  local what=$1
  shift
  if "$@" >/dev/null 2>&1; then pass "$what"; else fail "$what"; fi
}

for program in age age-keygen tar sha256sum; do
  command -v "$program" >/dev/null 2>&1 || {
    echo "FAIL $program is not installed"
    exit 1
  }
done

work=$(mktemp -d /tmp/entente-party.XXXXXX) || exit 1
nodes=()
clean_up() {
  for node in "${nodes[@]}"; do
    kill "$node" 2>/dev/null
  done
  wait 2>/dev/null
  rm -rf "$work"
}
trap clean_up EXIT

for party in aurora.example boreal.example; do
  "$build/entente" init --name "$party" --dir "$work/$party" --air-gapped >/dev/null 2>&1 || {
    echo "FAIL init of $party"
    exit 1
  }
  "$build/entented" --dir "$work/$party" 2>"$work/$party.log" &
  nodes+=($!)
  for _ in $(seq 200); do
    [ -S "$work/$party/socket" ] && break
    sleep 0.05
  done
done

aurora() { "$build/entente" "$@" --dir "$work/aurora.example"; }
boreal() { "$build/entente" "$@" --dir "$work/boreal.example"; }

aurora peer add "$work/boreal.example/card" >/dev/null 2>&1
boreal peer add "$work/aurora.example/card" >/dev/null 2>&1
channel=$(aurora channel open --with boreal.example --terms "$root/examples/terms.json" 2>/dev/null)
aurora pouch export --channel "$channel" --to boreal.example -o "$work/1.pouch" >/dev/null 2>&1
check "boreal takes the invitation that came by hand" boreal pouch import "$work/1.pouch"
check "boreal accepts it" boreal channel accept "$channel"
boreal pouch export --channel "$channel" --to aurora.example -o "$work/2.pouch" >/dev/null 2>&1
check "aurora takes the answer" aurora pouch import "$work/2.pouch"
check "aurora notifies" aurora send incident.notification --channel "$channel" \
  --body "$root/examples/incident.notification.json"
aurora pouch export --channel "$channel" --to boreal.example -o "$work/3.pouch" >/dev/null 2>&1

check "GNU tar opens the pouch" tar -C "$work" -xf "$work/3.pouch"
sealed=$work/bodies/1.age
entry=$(aurora show "$channel/aurora.example/1" --json | /usr/bin/python3 -c 'import json, sys; print(json.load(sys.stdin)["entry"])')
digest=$(sha256sum "$sealed" | cut -d ' ' -f 1)
case $entry in
*"\"digest\":\"$digest\""*) pass "sha256sum finds the digest that the entry names" ;;
*) fail "sha256sum finds the digest that the entry names" ;;
esac
for party in aurora.example boreal.example; do
  if age -d -i "$work/$party/keys/age.key" "$sealed" >"$work/opened.json" 2>/dev/null &&
    cmp -s "$work/opened.json" <(aurora open "$channel/aurora.example/1" -o - 2>/dev/null); then
    pass "stock age opens the body with the identity of $party, to the same bytes as entente open"
  else
    fail "stock age opens the body with the identity of $party, to the same bytes as entente open"
  fi
done
age-keygen -o "$work/stranger.key" 2>/dev/null
if age -d -i "$work/stranger.key" "$sealed" >/dev/null 2>&1; then
  fail "a stranger's identity opens nothing"
else
  pass "a stranger's identity opens nothing"
fi

[ "$failures" -eq 0 ]
